//! Where a seed's partitions keep their items: in memory, or on disk with sizes so small that everything is flushed
//! and merged all the time. Both must give the same answers, digests and histories.

use quietus::store::{Database, DiskStore, MemoryStore, Sizes, Store};

const SMALL: Sizes = Sizes { flush_rows: 12, fan_in: 3, run_rows: 40, slice_rows: 25 };

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

    /// The same kind again, empty: what a node begins with.
    pub fn again(&self) -> Self {
        match self {
            Self::Memory => Self::Memory,
            Self::Disk { .. } => Self::disk(),
        }
    }

    pub fn disk() -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self::Disk { database: Database::open(dir.path()).unwrap(), _dir: dir }
    }

    pub fn store(&self, partition: u32) -> Box<dyn Store> {
        match self {
            Self::Memory => Box::new(MemoryStore::default()),
            Self::Disk { database, .. } => Box::new(DiskStore::open(database, partition, SMALL).unwrap()),
        }
    }
}
