//! The file system's own clock, and how long a call may still change something.

use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};

use quietus_contract::Failure;
use rustix::fs::{Timespec, Timestamps, UTIME_NOW, UTIME_OMIT, futimens};

use crate::fault;

/// The time the file system gives to a file made now.
pub(crate) fn now(root: &Path) -> Result<i64, Failure> {
    let probe = tempfile::tempfile_in(root).map_err(|e| fault::of(&e, "the folder of connection.url"))?;
    read(&probe).map_err(|e| fault::of(&e, "the folder of connection.url"))
}

fn read(file: &File) -> std::io::Result<i64> {
    let meta = file.metadata()?;
    Ok(meta.mtime().saturating_mul(1_000).saturating_add(meta.mtime_nsec() / 1_000_000))
}

/// Ends by the file system's clock or by one that nobody can set, whichever comes first.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lease {
    started: Instant,
    length: Duration,
    not_after: i64,
}

impl Lease {
    /// `started` is when the call came in, `now` the file system's time of about then.
    pub(crate) fn new(started: Instant, length: Duration, now: i64) -> Self {
        let millis = i64::try_from(length.as_millis()).unwrap_or(i64::MAX);
        Self { started, length, not_after: now.saturating_add(millis) }
    }

    pub(crate) fn left(&self) -> Result<Duration, Failure> {
        let left = self.length.saturating_sub(self.started.elapsed());
        if left.is_zero() { Err(expired()) } else { Ok(left) }
    }

    /// Touches the file that is about to take its place and looks at the time it got: the time of the change.
    pub(crate) fn stamp(&self, fresh: &File) -> Result<i64, Failure> {
        self.left()?;
        let omit = Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT };
        let times =
            Timestamps { last_access: omit, last_modification: Timespec { tv_nsec: UTIME_NOW, ..omit } };
        let at = futimens(fresh, &times).map_err(std::io::Error::from).and_then(|()| read(fresh));
        let at = at.map_err(|e| fault::of(&e, "the rewritten file"))?;
        if at > self.not_after { Err(expired()) } else { Ok(at) }
    }
}

fn expired() -> Failure {
    Failure::retry("expired", "the permit ran out before the file could be swapped; it is as it was")
}
