//! A partition as it was: snapshots are taken, looked at, and gone on from.

use quietus_core::engine::control::Control;
use quietus_core::record::Codec;

use super::{Home, Partition, Unfit, kept};
use crate::store::{Snapshot, StoreError};

impl Partition {
    /// Keeps what is known now as a snapshot, on the disk when this returns; None = not now, a frame is being decided
    /// or none came since the start.
    pub fn snapshot<C: Codec>(&self, codec: &C) -> Result<Option<Snapshot>, StoreError> {
        let mut inner = self.write();
        let Some(applied) = inner.since.as_ref().and_then(kept::Since::at) else { return Ok(None) };
        if inner.store.kept() != Some(applied) {
            inner.flush(applied, codec)?;
        }
        let (at, k) = (inner.state.now.0, inner.state.control.k);
        let (entries, head) = (inner.chain.entries().len() as u64, inner.chain.head());
        let snapshot = Snapshot { applied, at, k, entries, head };
        inner.store.keep_root(snapshot)?;
        Ok(Some(snapshot))
    }

    /// Audit entries that it was opened with: what came since was read from the ledger.
    pub fn entries_at_start(&self) -> u64 {
        self.entries_at_start
    }

    /// Those that are kept, oldest first.
    pub fn snapshots(&self) -> Vec<Snapshot> {
        self.read().store.snapshots()
    }

    /// The partition as it was at one of its snapshots: what is applied to it stays in memory. `control` = what the
    /// control log's first so many entries add up to.
    pub fn as_of<C: Codec>(
        &self,
        snapshot: &Snapshot,
        home: &Home,
        control: impl FnOnce(u64) -> Option<Control>,
        codec: &C,
    ) -> Result<Self, Unfit> {
        let store = self.read().store.look_back(snapshot)?;
        let store = store.ok_or(Unfit::Unreadable("snapshot"))?;
        Self::open(home, store, control, codec).map(|(partition, _)| partition)
    }
}
