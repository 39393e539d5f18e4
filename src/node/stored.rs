//! A folder's store held against a replay of its ledger: every live value of it, in a copy, so that what is kept as
//! evidence stays as it is.

use std::fs::{self, File};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use quietus_core::engine::control::Control;
use quietus_core::record::{EVENTS_REMEMBERED, Frame};

use super::NodeError;
use crate::ledger::codec::Avro;
use crate::partition::{Home, Partition, Unfit};
use crate::store::{Copies, Database, DiskStore, Sizes, Store, StoreError};

/// The partitions' stores, each until the replay comes to where its last root was made.
pub(super) struct Stored {
    waiting: Vec<Option<DiskStore>>,
    /// Hashes of the events so far, by partition.
    events: Vec<Vec<u64>>,
    /// Frames up to whose end it was compared.
    pub compared: u64,
    pub findings: Vec<String>,
    /// It cannot be told: another version wrote it.
    pub unknown: bool,
    _copy: tempfile::TempDir,
}

impl Stored {
    /// None = there is no store, or a node has it open. Of a truncated ledger the copies are a store, as for a start.
    pub fn open(dir: &Path, partitions: u32, truncated: bool) -> Result<Option<Self>, NodeError> {
        let store = dir.join("store");
        let is_there = store.is_dir();
        let lock = File::open(dir.join("ledger").join("lock")).ok();
        let running = lock.as_ref().is_some_and(|lock| lock.try_lock_shared().is_err());
        if running || !(is_there || truncated) {
            return Ok(None);
        }
        let disk = |cause: io::Error| StoreError::Disk(format!("{}: {cause}", store.display()));
        let copy = tempfile::tempdir().map_err(disk)?;
        let opened = match is_there {
            true => {
                duplicate(&store, &copy.path().join("found")).map_err(disk)?;
                attempt(|| whole(&Database::open(&copy.path().join("found"))?, partitions))
            }
            false => Err(StoreError::Damaged("it is not there".to_owned())),
        };
        let (stores, findings) = match opened {
            Ok(stores) => (stores, Vec::new()),
            Err(error @ StoreError::Damaged(_)) => {
                let made = attempt(|| {
                    let Some(copies) = Copies::whole(&store, partitions)? else { return Ok(Vec::new()) };
                    whole(&copies.put_in(&copy.path().join("made"))?, partitions)
                });
                match made {
                    Ok(none) if none.is_empty() && !is_there => return Ok(None),
                    Ok(stores) => (stores, vec![error.to_string()]),
                    Err(of_copies) => {
                        let copies = format!("the copies of its snapshots: {of_copies}");
                        (Vec::new(), vec![error.to_string(), copies])
                    }
                }
            }
            Err(error) => return Err(error.into()),
        };
        let waiting: Vec<_> = stores.into_iter().map(Some).collect();
        let events = vec![Vec::new(); waiting.len()];
        let mut stored = Self { waiting, events, compared: 0, findings, unknown: false, _copy: copy };
        for (index, store) in (0u32..).zip(&stored.waiting) {
            if store.as_ref().is_some_and(DiskStore::went_back) {
                stored.findings.push(format!(
                    "the store of partition {index}: its last root cannot be read; a start goes back to a snapshot"
                ));
            }
        }
        stored.rests(super::rest::read(&store));
        Ok(Some(stored))
    }

    /// After an orderly stop each store is where it was left.
    fn rests(&mut self, left: Result<Option<Vec<u64>>, &'static str>) {
        match left {
            Err(what) => self.findings.push(format!("the store: {what}")),
            Ok(left) => {
                for (index, left) in (0u32..).zip(left.unwrap_or_default()) {
                    let store = self.waiting.get(index as usize).and_then(Option::as_ref);
                    if store.is_some_and(|store| store.kept() != Some(left)) {
                        self.found(index, "its last root is gone");
                    }
                }
            }
        }
    }

    /// The partition as its oldest snapshot has it, for a ledger that begins no later: the replay goes on from there.
    /// `control` = what the control log's first so many entries add up to.
    pub fn base(
        &mut self,
        home: &Home,
        control: impl FnOnce(u64) -> Option<Control>,
    ) -> Result<Partition, NodeError> {
        let damaged = |why: String| {
            let what = format!("partition {}: {why}", home.index);
            NodeError::Store(StoreError::Damaged(what))
        };
        let at = home.index as usize;
        let store = self.waiting.get(at).and_then(Option::as_ref);
        let oldest = store.and_then(|store| Some((store, store.snapshots().into_iter().next()?)));
        let (store, snapshot) = oldest.ok_or_else(|| damaged(self.why()))?;
        let past = store.look_back(&snapshot)?.ok_or_else(|| damaged(self.why()))?;
        let (base, seen) =
            Partition::open(home, past, control, &Avro).map_err(|why| damaged(why.to_string()))?;
        if let Some(events) = self.events.get_mut(at) {
            *events = seen;
        }
        Ok(base)
    }

    fn why(&self) -> String {
        match self.findings.as_slice() {
            [] => "no snapshot is kept".to_owned(),
            findings => findings.join("; "),
        }
    }

    /// Frames that the oldest snapshot has seen.
    pub fn base_at(&self, partition: usize) -> Option<u64> {
        let store = self.waiting.get(partition).and_then(Option::as_ref);
        store.and_then(|store| store.snapshots().first().map(|snapshot| snapshot.applied))
    }

    /// The replay has come through this frame, or begins here; `control` = what the control log's first so many entries add up to.
    pub fn reach(
        &mut self,
        replayed: &Partition,
        frame: Option<&Frame>,
        home: &Home,
        control: impl FnOnce(u64) -> Option<Control>,
    ) {
        let at = replayed.index() as usize;
        let (Some(waiting), Some(events)) = (self.waiting.get_mut(at), self.events.get_mut(at)) else {
            return;
        };
        if let (Some(_), Some(frame)) = (&waiting, frame) {
            events.extend(frame.event_ids());
        }
        if waiting.as_ref().and_then(Store::kept) != Some(replayed.applied()) {
            return;
        }
        let Some(store) = waiting.take() else { return };
        let seen = std::mem::take(events);
        let knows = |stored: &Partition, events: &[u64]| {
            let enough = events.len() >= seen.len().min(EVENTS_REMEMBERED);
            enough && seen.ends_with(events) && stored.knows_what(replayed, &Avro)
        };
        match Partition::open(home, store, control, &Avro) {
            Ok((stored, events)) if knows(&stored, &events) => self.compared += replayed.applied(),
            Ok(_) => self.found(replayed.index(), "it does not hold what the ledger says"),
            Err(Unfit::Version) => self.unknown = true,
            Err(why) => self.found(replayed.index(), &why.to_string()),
        }
    }

    /// The ledger is at its end.
    pub fn end(&mut self) {
        let waiting: Vec<Option<DiskStore>> = std::mem::take(&mut self.waiting);
        for (index, store) in (0u32..).zip(waiting) {
            if store.and_then(|store| store.kept()).is_some_and(|kept| kept > 0) {
                self.found(index, &Unfit::Ahead("ledger").to_string());
            }
        }
    }

    fn found(&mut self, partition: u32, what: &str) {
        self.findings.push(format!("the store of partition {partition}: {what}"));
    }
}

/// sled ends some reads of what it never wrote with a panic.
fn attempt(open: impl FnOnce() -> Result<Vec<DiskStore>, StoreError>) -> Result<Vec<DiskStore>, StoreError> {
    let cannot = |_| Err(StoreError::Damaged("it cannot be opened".to_owned()));
    catch_unwind(AssertUnwindSafe(open)).unwrap_or_else(cannot)
}

/// Every partition's store, all of it read.
fn whole(database: &Database, partitions: u32) -> Result<Vec<DiskStore>, StoreError> {
    let one = |index| {
        let store = DiskStore::open(database, index, Sizes::default())?;
        store.read_all()?;
        Ok(store)
    };
    (0..partitions).map(one).collect()
}

fn duplicate(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let (entry, to) = entry.map(|entry| (entry.path(), to.join(entry.file_name())))?;
        match entry.is_dir() {
            true => duplicate(&entry, &to)?,
            false => drop(fs::copy(&entry, &to)?),
        }
    }
    Ok(())
}
