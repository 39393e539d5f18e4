//! The embedded ledger against crashes, damage, full disks and many writers.

mod appends;
mod crashes;
mod damage;
mod disk;
mod opening;
mod truncation;

use std::fs;
use std::path::{Path, PathBuf};

use super::{Ledger, Options, Recovered};
use crate::ledger::{Frame, LedgerError, Stream};

const P0: Stream = Stream::Partition(0);
const P1: Stream = Stream::Partition(1);

fn options() -> Options {
    Options { partitions: 2, ..Options::default() }
}

fn small_segments() -> Options {
    Options { segment_bytes: 400, ..options() }
}

fn open(dir: &Path) -> (Ledger, Recovered) {
    Ledger::create_or_open(dir, options()).unwrap()
}

/// A ledger of a few groups over three streams and several segments, cleanly shut down.
async fn small_ledger(dir: &Path) {
    let (ledger, _) = Ledger::create_or_open(dir, small_segments()).unwrap();
    for n in 0..4u8 {
        ledger.append(Stream::Control, vec![n; 20]).await.unwrap();
        ledger.append_many(vec![(P0, vec![n; 30]), (P1, vec![n; 10])]).await.unwrap();
    }
    ledger.close().await.unwrap();
}

fn all(ledger: &Ledger) -> Vec<Frame> {
    ledger.scan(&[]).unwrap().collect::<Result<_, _>>().unwrap()
}

fn bodies(ledger: &Ledger, stream: Stream) -> Vec<Vec<u8>> {
    ledger.read(stream, 0).unwrap().map(|frame| frame.unwrap().body).collect()
}

/// What a killed node would leave: the files as they are, in another folder.
fn snapshot(from: &Path) -> tempfile::TempDir {
    let to = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, to.path().join(path.file_name().unwrap())).unwrap();
    }
    to
}

fn segments(dir: &Path) -> Vec<PathBuf> {
    super::segment::list(dir).unwrap().into_iter().map(|number| super::segment::path(dir, number)).collect()
}

fn is_damage<T: std::fmt::Debug>(result: &Result<T, LedgerError>) -> bool {
    matches!(result, Err(LedgerError::Damaged(_)))
}
