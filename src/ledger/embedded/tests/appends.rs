//! Appending and reading.

use super::*;
use crate::ledger::embedded::{MAX_APPEND, MAX_BODY, verify};

#[tokio::test]
async fn what_is_appended_is_read_in_order_and_found_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    small_ledger(dir.path()).await;
    assert!(segments(dir.path()).len() > 2, "the ledger rolled");
    let (ledger, recovered) = open(dir.path());
    assert_eq!((recovered.created, recovered.clean, recovered.cut), (false, true, None));
    assert_eq!((recovered.ends, recovered.frames), (vec![4, 4, 4], 12));
    assert_eq!(bodies(&ledger, P0), (0..4u8).map(|n| vec![n; 30]).collect::<Vec<_>>());
    assert_eq!(ledger.read(P1, 2).unwrap().map(|f| f.unwrap().offset).collect::<Vec<_>>(), [2, 3]);
    let order: Vec<_> = all(&ledger).into_iter().map(|f| (f.stream, f.offset)).collect();
    let expected = (0..4).flat_map(|n| [(Stream::Control, n), (P0, n), (P1, n)]).collect::<Vec<_>>();
    assert_eq!(order, expected);
    assert_eq!(ledger.append(P0, b"next".to_vec()).await, Ok(4));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn appends_of_many_tasks_are_all_durable_and_in_the_order_of_each_task() {
    let dir = tempfile::tempdir().unwrap();
    let (ledger, _) =
        Ledger::create_or_open(dir.path(), Options { segment_bytes: 20_000, ..options() }).unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    for task in 0..16u32 {
        let ledger = ledger.clone();
        tasks.spawn(async move {
            let stream = Stream::from_number(task % 3);
            for n in 0..100u32 {
                let body = [task.to_be_bytes(), n.to_be_bytes()].concat();
                let offset = ledger.append(stream, body.clone()).await.unwrap();
                let seen = ledger.read(stream, offset).unwrap().next().unwrap().unwrap();
                assert_eq!((seen.offset, seen.body), (offset, body), "an answer means that it can be read");
            }
        });
    }
    tasks.join_all().await;
    // As after kill -9: what was answered is in the files although nobody shut down.
    let killed = snapshot(dir.path());
    let (ledger, recovered) = open(killed.path());
    assert_eq!((recovered.clean, recovered.frames), (false, 1600));
    let mut newest = std::collections::BTreeMap::new();
    let mut next = [0u64; 3];
    for frame in all(&ledger) {
        assert_eq!(frame.offset, std::mem::replace(&mut next[frame.stream.slot()], frame.offset + 1));
        let (task, n) = frame.body.split_at(4);
        let before = newest.insert(task.to_vec(), n.to_vec());
        assert!(before.is_none_or(|before| before < n.to_vec()));
    }
    assert!(newest.values().all(|n| *n == 99u32.to_be_bytes()) && newest.len() == 16);
}

#[tokio::test]
async fn a_reader_goes_on_as_frames_become_durable_and_ends_with_the_ledger() {
    let dir = tempfile::tempdir().unwrap();
    let (ledger, _) = Ledger::create_or_open(dir.path(), small_segments()).unwrap();
    let mut reader = ledger.read(P0, 0).unwrap();
    let mut end = ledger.subscribe(P0).unwrap();
    assert!(reader.next().is_none());
    for n in 0..20u8 {
        let waiting = tokio::spawn(async move { (reader.tail().await, reader) });
        ledger.append(P1, vec![n; 50]).await.unwrap();
        ledger.append(P0, vec![n; 50]).await.unwrap();
        let (frame, back) = waiting.await.unwrap();
        assert_eq!(frame.unwrap().body, vec![n; 50]);
        reader = back;
    }
    assert!(end.has_changed().unwrap());
    assert_eq!((*end.borrow_and_update(), ledger.end(P0)), (20, Ok(20)));
    ledger.close().await.unwrap();
    assert_eq!(reader.tail().await, Err(LedgerError::Closed));
    assert_eq!(ledger.append(P0, vec![]).await, Err(LedgerError::Closed));
}

#[tokio::test]
async fn a_stream_is_found_through_the_index_from_every_offset() {
    let dir = tempfile::tempdir().unwrap();
    let (ledger, _) =
        Ledger::create_or_open(dir.path(), Options { segment_bytes: 5_000, ..options() }).unwrap();
    for chunk in 0..30u64 {
        let frames =
            (0..10).map(|n| (if n % 3 == 0 { P1 } else { P0 }, (chunk * 10 + n).to_be_bytes().to_vec()));
        ledger.append_many(frames.collect()).await.unwrap();
    }
    let whole = bodies(&ledger, P0);
    for from in 0..=whole.len() {
        let read: Vec<_> = ledger.read(P0, from as u64).unwrap().map(|f| f.unwrap().body).collect();
        assert_eq!(read, whole[from..], "from {from}");
    }
}

#[tokio::test]
async fn what_is_too_large_or_nowhere_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (ledger, _) = open(dir.path());
    let refused = ledger.append(P0, vec![0; MAX_BODY + 1]).await.unwrap_err();
    assert_eq!((refused.status(), refused.might_have_happened()), (413, false));
    let many = vec![(P0, vec![0; MAX_APPEND / 3]); 4];
    assert!(matches!(ledger.append_many(many).await, Err(LedgerError::TooLarge { .. })));
    let nowhere = Stream::Partition(2);
    assert!(matches!(ledger.append(nowhere, vec![]).await, Err(LedgerError::UnknownStream { .. })));
    assert!(matches!(ledger.read(nowhere, 0), Err(LedgerError::UnknownStream { .. })));
    assert_eq!(ledger.append(P0, vec![7; MAX_BODY]).await, Ok(0));
    assert_eq!(ledger.append(P0, vec![]).await, Ok(1));
    assert_eq!(ledger.append_many(vec![]).await, Ok(vec![]));
    assert_eq!(bodies(&ledger, P0), [vec![7; MAX_BODY], vec![]]);
}

#[tokio::test]
async fn truncation_gives_files_back_and_keeps_what_is_needed() {
    let dir = tempfile::tempdir().unwrap();
    let (ledger, _) = Ledger::create_or_open(dir.path(), small_segments()).unwrap();
    for n in 0..30u8 {
        ledger.append(P0, vec![n; 50]).await.unwrap();
    }
    ledger.append(P1, vec![1]).await.unwrap();
    let before = segments(dir.path()).len();
    assert_eq!(ledger.truncate_before(vec![0, 0, 0]).await, Ok(0));
    let gone = ledger.truncate_before(vec![0, 20, 0]).await.unwrap();
    assert!(gone > 0);
    assert_eq!(segments(dir.path()).len() as u64, before as u64 - gone);
    let first = ledger.first(P0).unwrap();
    assert!(first > 10 && first <= 20, "{first}");
    assert!(matches!(ledger.read(P0, 0), Err(LedgerError::Truncated { .. })));
    assert_eq!(ledger.read(P0, first).unwrap().count() as u64, 30 - first);
    assert_eq!(all(&ledger).len() as u64, 31 - first);
    ledger.close().await.unwrap();
    assert_eq!(verify(dir.path()).unwrap().ends, [0, 30, 1]);
    let (ledger, recovered) = Ledger::create_or_open(dir.path(), small_segments()).unwrap();
    assert_eq!((recovered.ends, ledger.first(P0).unwrap()), (vec![0, 30, 1], first));
    // All of it may go but the newest segment, and offsets go on where they were.
    ledger.truncate_before(vec![99, 99, 99]).await.unwrap();
    assert_eq!(segments(dir.path()).len(), 1);
    assert_eq!(ledger.append(P0, vec![]).await, Ok(30));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn throughput_is_printed() {
    let dir = tempfile::tempdir().unwrap();
    let (ledger, _) = open(dir.path());
    let started = std::time::Instant::now();
    let mut tasks = tokio::task::JoinSet::new();
    for task in 0..8u32 {
        let ledger = ledger.clone();
        tasks.spawn(async move {
            for _ in 0..32 {
                ledger.append(Stream::from_number(task % 3), vec![task as u8; 64 << 10]).await.unwrap();
            }
        });
    }
    tasks.join_all().await;
    let (appended, mib) = (started.elapsed(), 16.0);
    let started = std::time::Instant::now();
    assert_eq!(all(&ledger).len(), 256);
    println!(
        "append {:.0} MiB/s, scan {:.0} MiB/s",
        mib / appended.as_secs_f64(),
        mib / started.elapsed().as_secs_f64()
    );
}
