//! What leaves the disk when the beginning is given up, and what stays.

use super::*;
use crate::ledger::embedded::{replay, verify};

/// Eight entries of the control log and eight frames of each partition, three segments or more of them given up.
async fn truncated(dir: &Path) -> Ledger {
    let (ledger, _) = Ledger::create_or_open(dir, small_segments()).unwrap();
    for n in 0..8u8 {
        ledger.append(Stream::Control, vec![n; 20]).await.unwrap();
        ledger.append_many(vec![(P0, vec![n; 100]), (P1, vec![n; 10])]).await.unwrap();
    }
    assert!(ledger.truncate_before(vec![4, 5, 5]).await.unwrap() > 2);
    ledger
}

fn control(until: u8) -> Vec<Vec<u8>> {
    (0..until).map(|n| vec![n; 20]).collect()
}

fn files(dir: &Path) -> Vec<String> {
    let names = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.filter(|name| name != "lock").collect();
    names.sort();
    names
}

fn replayed(dir: &Path) -> Vec<Frame> {
    let mut frames = Vec::new();
    let each = |frame| {
        frames.push(frame);
        Ok::<(), LedgerError>(())
    };
    replay(dir, each).unwrap();
    frames
}

#[tokio::test]
async fn the_control_log_stays_whole() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = truncated(dir.path()).await;
    let whole = |ledger: &Ledger, until: u8| {
        assert_eq!(ledger.first(Stream::Control), Ok(0));
        assert_eq!(bodies(ledger, Stream::Control), control(until));
        let from_6: Vec<u64> = ledger.read(Stream::Control, 6).unwrap().map(|f| f.unwrap().offset).collect();
        assert_eq!(from_6, (6..u64::from(until)).collect::<Vec<_>>());
        let of_all = all(ledger).into_iter().filter(|frame| frame.stream == Stream::Control);
        assert_eq!(of_all.map(|frame| frame.body).collect::<Vec<_>>(), control(until));
    };
    whole(&ledger, 8);
    let first = ledger.first(P0).unwrap();
    assert!((1..=5).contains(&first), "{first}");
    let refused = ledger.read(P0, 0).unwrap_err();
    assert_eq!(refused, LedgerError::Truncated { stream: P0, offset: 0, first });
    ledger.close().await.unwrap();
    let seen = verify(dir.path()).unwrap();
    assert_eq!((seen.starts[0], seen.starts[1], seen.ends[0]), (0, first, 8));
    assert_eq!(replayed(dir.path()).iter().filter(|f| f.stream == Stream::Control).count(), 8);

    let (ledger, _) = Ledger::create_or_open(dir.path(), small_segments()).unwrap();
    whole(&ledger, 8);
    ledger.append(Stream::Control, vec![8; 20]).await.unwrap();
    ledger.truncate_before(vec![9, 8, 8]).await.unwrap();
    whole(&ledger, 9);
    let kept = files(dir.path()).into_iter().filter(|name| name.ends_with(".kept"));
    assert_eq!(kept.count(), 1, "{:?}", files(dir.path()));
}

#[tokio::test]
async fn a_segment_that_was_begun_lets_all_before_it_go() {
    let dir = tempfile::tempdir().unwrap();
    let (ledger, _) = open(dir.path());
    ledger.begin_segment().await.unwrap();
    assert_eq!(segments(dir.path()).len(), 1, "an empty one serves");
    ledger.append_many(vec![(P0, b"forget me".to_vec()), (P1, vec![1])]).await.unwrap();
    ledger.begin_segment().await.unwrap();
    assert_eq!(ledger.truncate_before(vec![0, 1, 1]).await, Ok(1));
    assert_eq!((ledger.first(P0), ledger.end(P0)), (Ok(1), Ok(1)));
    for file in files(dir.path()) {
        let bytes = fs::read(dir.path().join(&file)).unwrap();
        assert!(!bytes.windows(9).any(|w| w == b"forget me"), "{file}");
    }
    assert_eq!(ledger.append(P0, b"next".to_vec()).await, Ok(1));
}

#[tokio::test]
async fn a_reader_that_rests_goes_on_behind_what_was_given_up() {
    let dir = tempfile::tempdir().unwrap();
    let (ledger, _) = Ledger::create_or_open(dir.path(), small_segments()).unwrap();
    ledger.append(P1, vec![1]).await.unwrap();
    let (mut rests, mut reads) = (ledger.read(P1, 0).unwrap(), ledger.read(P0, 0).unwrap());
    assert_eq!(rests.next().unwrap().unwrap().body, [1]);
    for n in 0..8u8 {
        ledger.append(P0, vec![n; 100]).await.unwrap();
    }
    assert_eq!(reads.next().unwrap().unwrap().offset, 0);
    assert!(ledger.truncate_before(vec![0, 6, 1]).await.unwrap() > 1);
    ledger.append(P1, vec![2]).await.unwrap();
    assert_eq!(rests.next().unwrap().unwrap().body, [2]);
    let lost = reads.find_map(Result::err);
    assert!(matches!(lost, Some(LedgerError::Truncated { stream: P0, .. })), "{lost:?}");
}

#[tokio::test]
async fn a_crash_at_any_point_of_a_truncation_leaves_all_of_it_or_what_it_leaves() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = truncated(dir.path()).await;
    let before = snapshot(dir.path());
    let from = ledger.first(P0).unwrap();
    assert!(ledger.truncate_before(vec![8, 8, 8]).await.unwrap() > 0);
    let after = snapshot(dir.path());
    let kept = |dir: &Path| files(dir).into_iter().find(|name| name.ends_with(".kept")).unwrap();
    let put = |into: &Path, file: &str| fs::copy(after.path().join(file), into.join(file)).unwrap();

    // The next kept file is there, whole or half, and nothing names it; then the meta does, and nothing is gone yet;
    // then some is.
    let (unnamed, named) = (snapshot(before.path()), snapshot(before.path()));
    put(unnamed.path(), &kept(after.path()));
    fs::write(unnamed.path().join("control-000000000099.kept.new"), b"half").unwrap();
    put(named.path(), &kept(after.path()));
    put(named.path(), "ledger.meta");
    let some = snapshot(named.path());
    fs::remove_file(segments(some.path()).remove(0)).unwrap();
    for (crashed, first) in
        [(&unnamed, from), (&named, ledger.first(P0).unwrap()), (&some, ledger.first(P0).unwrap())]
    {
        verify(crashed.path()).unwrap();
        let (again, recovered) = Ledger::create_or_open(crashed.path(), small_segments()).unwrap();
        assert_eq!((recovered.cut, again.first(P0)), (None, Ok(first)));
        assert_eq!(bodies(&again, Stream::Control), control(8));
        let named = if first == from { kept(before.path()) } else { kept(after.path()) };
        assert_eq!(
            files(crashed.path()).iter().filter(|f| f.contains("control-")).collect::<Vec<_>>(),
            [&named]
        );
    }
}

#[tokio::test]
async fn whatever_of_what_is_left_changes_is_found() {
    let dir = tempfile::tempdir().unwrap();
    truncated(dir.path()).await.close().await.unwrap();
    for file in files(dir.path()) {
        let path = dir.path().join(&file);
        let good = fs::read(&path).unwrap();
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 0x10;
            fs::write(&path, &bad).unwrap();
            assert!(verify(dir.path()).is_err(), "{file} at {at}");
        }
        fs::remove_file(&path).unwrap();
        let without = verify(dir.path());
        assert!(is_damage(&without) || (file == "clean" && without.is_ok()), "{file}: {without:?}");
        fs::write(&path, &good).unwrap();
    }
    let kept = files(dir.path()).into_iter().find(|name| name.ends_with(".kept")).unwrap();
    fs::rename(dir.path().join(&kept), dir.path().join("control-000000000001.kept")).unwrap();
    assert!(is_damage(&verify(dir.path())));
}
