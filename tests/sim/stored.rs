//! Where a seed's partitions keep their items: in memory, or on disk with sizes so small that everything is flushed
//! and merged all the time. Both must give the same answers, digests and histories.

use quietus::ledger::codec::Avro;
use quietus::partition::{Home, Partition};
use quietus::store::{Database, DiskStore, Sizes};
use quietus_core::engine::control::Control;

const SMALL: Sizes = Sizes {
    flush_rows: 12,
    flush_frames: 60,
    fan_in: 3,
    run_rows: 40,
    slice_rows: 25,
    laid_from: 2,
    apart: 2,
    duties_held: 0,
};

/// The stores of one node; a crash takes what was not flushed, and the ledger brings it back.
#[derive(Debug)]
pub enum Stored {
    Memory,
    Disk { database: Database, _dir: tempfile::TempDir },
}

impl Stored {
    /// Every third seed lies on disk, unless `QUIETUS_SIM_STORE` says otherwise.
    pub fn of(seed: u64) -> Self {
        let named = std::env::var("QUIETUS_SIM_STORE");
        match named.as_deref() {
            Ok("disk") => Self::disk(),
            Ok("memory") => Self::Memory,
            Ok(other) => panic!("QUIETUS_SIM_STORE takes disk or memory, not {other:?}"),
            Err(_) if seed.is_multiple_of(3) => Self::disk(),
            Err(_) => Self::Memory,
        }
    }

    pub fn disk() -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self::Disk { database: Database::open(dir.path()).unwrap(), _dir: dir }
    }

    /// What this partition's root names is found damaged: the next opening goes back to a snapshot, if there is one.
    pub fn suspect(&self, partition: &Partition) {
        if let Self::Disk { database, .. } = self
            && !partition.snapshots().is_empty()
        {
            database.partition(partition.index()).suspect().unwrap();
        }
    }

    /// A partition as its store has it, with the hashes of the events that it took in lately; `control` = what the
    /// first so many entries of the control log add up to.
    pub fn partition(
        &self,
        index: u32,
        of: u32,
        salt_key: &[u8],
        control: impl FnOnce(u64) -> Option<Control>,
    ) -> (Partition, Vec<u64>) {
        match self {
            Self::Memory => (Partition::new(index, of, salt_key), Vec::new()),
            Self::Disk { database, .. } => {
                let store = DiskStore::open(database, index, SMALL).unwrap();
                let home = Home { index, of, salt_key: salt_key.to_vec(), ledger: *b"a ledger in here" };
                Partition::open(&home, store, control, &Avro).unwrap()
            }
        }
    }
}
