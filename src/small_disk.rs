//! A file system of 1 MiB, for tests of a full disk: it needs the right to mount it.

use std::path::Path;
use std::process::Command;

/// Unmounted when it goes.
pub struct Small(tempfile::TempDir);

impl Small {
    pub fn mount() -> Self {
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

    pub fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg(self.0.path()).status();
        assert!(std::thread::panicking() || unmounted.is_ok_and(|status| status.success()));
    }
}
