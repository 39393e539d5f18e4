//! A disk that is full, on a file system of 1 MiB. Needs the right to mount one.

use std::process::Command;

use super::*;
use crate::ledger::embedded::verify;

struct Small(tempfile::TempDir);

impl Small {
    fn mount() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mount =
            Command::new("mount").args(["-t", "tmpfs", "-o", "size=1m", "tmpfs"]).arg(dir.path()).output();
        let output = mount.expect("`mount` must be installed for the test of a full disk");
        assert!(
            output.status.success(),
            "the test of a full disk mounts a tmpfs of 1 MiB, which was refused here (run it as root): {}",
            String::from_utf8_lossy(&output.stderr)
        );
        Self(dir)
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg(self.0.path()).status();
        assert!(std::thread::panicking() || unmounted.is_ok_and(|status| status.success()));
    }
}

#[tokio::test]
async fn a_full_disk_loses_nothing_and_appends_go_on_when_there_is_room() {
    let small = Small::mount();
    let dir = small.0.path().join("ledger");
    let ballast = small.0.path().join("ballast");
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
