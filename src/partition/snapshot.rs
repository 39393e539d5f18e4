//! A partition as it was: snapshots are taken, looked at, and gone on from.

use quietus_core::engine::control::Control;
use quietus_core::record::Codec;

use super::{Home, Partition, Unfit, kept};
use crate::store::{Naming, Snapshot, StoreError};

impl Partition {
    /// Keeps what is known now as a snapshot, on the disk when this returns; None = not now, a frame is being decided
    /// or none came since the start. Nobody waits meanwhile but for a flush: a hold must not wait for the disk.
    pub fn snapshot<C: Codec>(&self, codec: &C) -> Result<Option<Snapshot>, StoreError> {
        let Some(naming) = self.begin_snapshot(codec)? else { return Ok(None) };
        let (snapshot, named) = (naming.snapshot(), naming.run());
        self.end_snapshot(naming, named).map(|()| Some(snapshot))
    }

    /// What is known now, to be named beside it and handed back.
    pub fn begin_snapshot<C: Codec>(&self, codec: &C) -> Result<Option<Naming>, StoreError> {
        let mut inner = self.write();
        let Some(applied) = inner.since.as_ref().and_then(kept::Since::at) else { return Ok(None) };
        if inner.store.kept() != Some(applied) {
            inner.flush(applied, codec)?;
        }
        let (at, k) = (inner.state.now.0, inner.state.control.k);
        let (entries, head) = (inner.chain.entries().len() as u64, inner.chain.head());
        inner.store.begin_snapshot(Snapshot { applied, at, k, entries, head })
    }

    /// From here on it is one of those that are kept, if it got its name.
    pub fn end_snapshot(&self, naming: Naming, named: Result<(), StoreError>) -> Result<(), StoreError> {
        self.write().store.end_snapshot(naming, named)
    }

    /// A copy of the newest in a file of its own, on the disk when this returns. No other may be taken meanwhile.
    pub fn copy_snapshot(&self) -> Result<(), StoreError> {
        let apart = self.read().store.newest_apart();
        apart.map_or(Ok(()), |apart| apart.run())
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
