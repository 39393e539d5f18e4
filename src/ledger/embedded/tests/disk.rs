//! A disk that fails, and one that is full: a file system of 1 MiB, which needs the right to mount it.

use super::*;
use crate::ledger::embedded::{recover, verify};
use crate::small_disk::Small;

#[tokio::test]
async fn a_full_disk_loses_nothing_and_appends_go_on_when_there_is_room() {
    let small = Small::mount();
    let dir = small.path().join("ledger");
    let ballast = small.path().join("ballast");
    fs::write(&ballast, vec![0; 300 << 10]).unwrap();
    let options = Options { segment_bytes: 200 << 10, ..options() };
    let (ledger, _) = Ledger::create_or_open(&dir, options.clone()).unwrap();
    let mut acknowledged = 0u64;
    let error = loop {
        match ledger.append(P0, vec![acknowledged as u8; 30 << 10]).await {
            Ok(offset) => assert_eq!(offset, std::mem::replace(&mut acknowledged, offset + 1)),
            Err(error) => break error,
        }
    };
    assert_eq!((&error, error.may_retry(), error.might_have_happened()), (&LedgerError::Full, true, false));
    assert!(acknowledged > 10);
    assert_eq!(ledger.append(P0, vec![0; 30 << 10]).await, Err(LedgerError::Full), "still full");
    assert_eq!(bodies(&ledger, P0).len() as u64, acknowledged);
    let full = verify(&dir).unwrap();
    assert_eq!((full.frames, full.tail), (acknowledged, None), "what was half written is cut off");

    fs::remove_file(&ballast).unwrap();
    assert_eq!(ledger.append(P0, b"room again".to_vec()).await, Ok(acknowledged));
    ledger.append_many(vec![(P1, vec![1; 30 << 10]); 4]).await.unwrap();
    ledger.close().await.unwrap();
    let (ledger, recovered) = Ledger::create_or_open(&dir, options).unwrap();
    assert!(recovered.clean);
    let read = bodies(&ledger, P0);
    assert_eq!(read.len() as u64, acknowledged + 1);
    assert!(
        read.iter().take(acknowledged as usize).enumerate().all(|(n, body)| *body == vec![n as u8; 30 << 10])
    );
}

/// A ledger that from now on writes to this device instead of its segment.
fn on_device(dir: &Path, device: &str) -> Ledger {
    let (mut writer, _) = recover::open(dir, &options()).unwrap();
    writer.file = fs::File::options().read(true).write(true).open(device).unwrap();
    Ledger::start(writer).unwrap()
}

#[tokio::test]
async fn after_a_failed_sync_or_write_nothing_is_taken_until_a_restart() {
    // /dev/null takes every write and refuses to sync; /dev/full refuses the write, and to be cut back.
    for (device, happened) in [("/dev/null", true), ("/dev/full", false)] {
        let dir = tempfile::tempdir().unwrap();
        let (ledger, _) = open(dir.path());
        ledger.append(P0, b"before".to_vec()).await.unwrap();
        ledger.close().await.unwrap();
        let ledger = on_device(dir.path(), device);
        let error = ledger.append(P0, b"lost".to_vec()).await.unwrap_err();
        assert_eq!(
            (error.might_have_happened(), error.may_retry(), error.status()),
            (happened, false, 503),
            "{error}"
        );
        let after = ledger.append(P0, b"later".to_vec()).await;
        assert!(matches!(after, Err(LedgerError::Poisoned { .. })), "{after:?}");
        assert_eq!(ledger.end(P0), Ok(1), "readers never see what was not synced");
        assert_eq!(bodies(&ledger, P0), [b"before"]);
        assert!(matches!(ledger.close().await, Err(LedgerError::Poisoned { .. })));
        assert!(!verify(dir.path()).unwrap().clean, "nobody vouches for the end");
        let (ledger, recovered) = open(dir.path());
        assert!(!recovered.clean);
        assert_eq!(ledger.append(P0, b"again".to_vec()).await, Ok(1));
    }
}
