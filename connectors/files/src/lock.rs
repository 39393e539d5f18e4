//! One rewriter at a time in a folder, and no read-back in the middle of a swap: a lock on the folder itself.
//!
//! It goes with the process that holds it, leaves no file behind, and binds only connectors: the company's own
//! programs write as they like.

use std::fs::File;
use std::time::{Duration, Instant};

use quietus_contract::Failure;
use rustix::fs::{FlockOperation, flock};

const PAUSE: Duration = Duration::from_millis(10);

/// Held until the folder is closed.
pub(crate) fn exclusive(folder: &File, patience: Duration) -> Result<(), Failure> {
    wait(folder, FlockOperation::NonBlockingLockExclusive, patience)
}

pub(crate) fn shared(folder: &File, patience: Duration) -> Result<(), Failure> {
    wait(folder, FlockOperation::NonBlockingLockShared, patience)
}

fn wait(folder: &File, operation: FlockOperation, patience: Duration) -> Result<(), Failure> {
    let started = Instant::now();
    loop {
        match flock(folder, operation) {
            Ok(()) => return Ok(()),
            Err(rustix::io::Errno::WOULDBLOCK | rustix::io::Errno::INTR) if started.elapsed() < patience => {
                std::thread::sleep(PAUSE);
            }
            Err(rustix::io::Errno::WOULDBLOCK | rustix::io::Errno::INTR) => {
                return Err(Failure::retry("timeout", "another rewrite is at work in this folder"));
            }
            Err(error) => {
                let error = std::io::Error::from(error);
                return Err(crate::fault::of(&error, "the folder of connection.url"));
            }
        }
    }
}
