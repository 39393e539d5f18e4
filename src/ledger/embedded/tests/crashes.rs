//! A crash at every byte of the last write.

use super::*;
use crate::ledger::embedded::frame::HEAD;
use crate::ledger::embedded::verify;

#[tokio::test]
async fn whatever_is_left_of_the_last_write_what_was_durable_before_it_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let (ledger, _) = open(dir.path());
    ledger.append(P0, b"durable".to_vec()).await.unwrap();
    let path = segments(dir.path()).remove(0);
    let before = fs::metadata(&path).unwrap().len();
    ledger.append_many(vec![(P0, b"second".to_vec()), (P1, b"third".to_vec())]).await.unwrap();
    let bytes = fs::read(&path).unwrap();
    let whole_second = before + (HEAD + 6) as u64;
    for length in before..=bytes.len() as u64 {
        // Cut short; cut short and padded by the file system; and the rest there but not the byte itself.
        let cut = &bytes[..length as usize];
        let mut padded = cut.to_vec();
        padded.resize(bytes.len() + 100, 0);
        let mut holed = bytes.clone();
        if let Some(byte) = holed.get_mut(length as usize) {
            *byte ^= 0xff;
        }
        for (kind, left) in [("cut", cut.to_vec()), ("padded", padded), ("holed", holed)] {
            let killed = snapshot(dir.path());
            let path = segments(killed.path()).remove(0);
            fs::write(&path, &left).unwrap();
            let kept = 1 + usize::from(length >= whole_second) + usize::from(length == bytes.len() as u64);
            let seen = verify(killed.path()).unwrap();
            assert_eq!(seen.frames, kept as u64, "{kind} at {length}");
            let (again, recovered) = open(killed.path());
            assert_eq!(recovered.cut, seen.tail, "{kind} at {length}");
            let end = seen.position.at;
            assert_eq!(recovered.cut.map_or(0, |tail| tail.bytes), left.len() as u64 - end);
            assert_eq!(fs::metadata(&path).unwrap().len(), end);
            assert_eq!(all(&again).len(), kept);
            let next = again.append(P0, b"after".to_vec()).await.unwrap();
            assert_eq!(next, 1 + u64::from(kept > 1));
            again.close().await.unwrap();
            assert_eq!(verify(killed.path()).unwrap().frames, kept as u64 + 1);
        }
    }
}

#[tokio::test]
async fn a_crash_in_the_middle_of_a_roll_or_a_truncation_is_finished_at_the_next_start() {
    let dir = tempfile::tempdir().unwrap();
    let (ledger, _) = Ledger::create_or_open(dir.path(), small_segments()).unwrap();
    let mut metas = Vec::new();
    for n in 0..8u8 {
        ledger.append(P0, vec![n; 100]).await.unwrap();
        metas.push(fs::read(dir.path().join("ledger.meta")).unwrap());
    }
    metas.dedup();
    assert!(metas.len() > 2);
    // The new segment is there, the meta does not say so yet.
    let rolled = snapshot(dir.path());
    fs::write(rolled.path().join("ledger.meta"), &metas[metas.len() - 2]).unwrap();
    fs::write(rolled.path().join("000000000099.segment.new"), b"draft").unwrap();
    let (again, recovered) = Ledger::create_or_open(rolled.path(), small_segments()).unwrap();
    assert_eq!((recovered.cut, all(&again).len()), (None, 8));
    assert!(!rolled.path().join("000000000099.segment.new").exists());
    again.close().await.unwrap();
    assert_eq!(verify(rolled.path()).unwrap().frames, 8);

    // The meta says that segments are gone, their files are still there.
    let kept = snapshot(dir.path());
    ledger.truncate_before(vec![0, 5, 0]).await.unwrap();
    fs::copy(dir.path().join("ledger.meta"), kept.path().join("ledger.meta")).unwrap();
    let (again, _) = Ledger::create_or_open(kept.path(), small_segments()).unwrap();
    assert_eq!(segments(kept.path()).len(), segments(dir.path()).len());
    assert_eq!(again.first(P0), ledger.first(P0));
}

#[test]
fn a_crash_while_the_ledger_is_made_leaves_a_ledger_that_can_be_made() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path()));
    fs::remove_file(dir.path().join("ledger.meta")).unwrap();
    fs::remove_file(dir.path().join("clean")).unwrap();
    assert!(open(dir.path()).1.created);
}
