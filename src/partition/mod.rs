//! One partition and its owner's loop: read → step → commit → effects.
//!
//! Invariant: the state is a function of the ledger. Nothing but [`Partition::apply`] changes it, and that takes
//! frames in order as they were made durable. Readers (HTTP, the dispatcher, the gate in a connector's
//! transaction) see it between two frames, or between two slices of a sweep or hold.

mod duties;
mod kept;
mod news;
mod pass;
mod report;
mod snapshot;
mod taken;
mod turns;
mod view;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use quietus_core::digest::Digest;
use quietus_core::engine::control::Control;
use quietus_core::engine::news::Item;
use quietus_core::engine::{Concerned, Decision, Effect, Input, Needs, State, begin, needs, step};
use quietus_core::identity::ItemId;
use quietus_core::item::Subject;
use quietus_core::life::Life;
use quietus_core::record::{Codec, Frame, Record};
use tokio::sync::watch;

use crate::audit::{Chain, Leaves, Witness};
use crate::store::{DiskStore, DutyRow, MemoryStore, Store, StoreError};

use news::Waiting;
use taken::TakenUpTo;

pub use kept::{Home, Unfit};
pub use report::{Report, Subjects, Tallied};
pub use view::{CopyView, ItemView, Why, outcome_name};

/// One partition.
#[derive(Debug)]
pub struct Partition {
    index: u32,
    inner: RwLock<Inner>,
    /// With something that lives, as last counted; [`UNCOUNTED`] = never.
    subjects: AtomicU64,
    /// Frames applied: the offset of the next one.
    applied: watch::Sender<u64>,
    news: Arc<Mutex<Option<Waiting>>>,
    taken: TakenUpTo,
    /// Audit entries that it had when it was opened.
    entries_at_start: u64,
    /// Entries of the control log that are in force here and that it has come through.
    through: AtomicU64,
}

#[derive(Debug)]
pub struct Inner {
    pub state: State,
    pub store: Box<dyn Store>,
    pub chain: Chain,
    /// Of what outlives the process: what its store does not have yet.
    since: Option<kept::Since>,
    /// What waits to be told; None = nobody is told of this partition, which only looks.
    news: Arc<Mutex<Option<Waiting>>>,
    taken: TakenUpTo,
}

const UNCOUNTED: u64 = u64::MAX;

/// What a frame asks of the shell, and on whose behalf.
#[derive(Debug)]
pub struct Asked {
    pub partition: u32,
    pub trace: Option<String>,
    pub effects: Vec<Effect>,
}

impl Partition {
    /// All of it in memory, empty.
    pub fn new(index: u32, of: u32, salt_key: &[u8]) -> Self {
        let (state, chain) = (fresh(index, of), Chain::new(index, salt_key));
        Self::made(state, chain, Box::new(MemoryStore::default()), None)
    }

    /// As its store has it: where the last root was made, or empty. `control` = what the first so many entries of the
    /// control log add up to. Answers the hashes of the events that it took in lately, too.
    pub fn open<C: Codec>(
        home: &Home,
        store: DiskStore,
        control: impl FnOnce(u64) -> Option<Control>,
        codec: &C,
    ) -> Result<(Self, Vec<u64>), Unfit> {
        let state = fresh(home.index, home.of);
        let Some(beside) = store.beside()? else {
            let (chain, since) = (Chain::new(home.index, &home.salt_key), kept::Since::new(home));
            return Ok((Self::made(state, chain, Box::new(store), Some(since)), Vec::new()));
        };
        let duties = |tell: &mut dyn FnMut(DutyRow) -> Result<(), Unfit>| store.each_duty(tell);
        let restored = kept::restore(home, state, beside, duties, control, codec)?;
        let kept::Restored { state, chain, since, events } = restored;
        Ok((Self::made(state, chain, Box::new(store), Some(since)), events))
    }

    fn made(state: State, chain: Chain, store: Box<dyn Store>, since: Option<kept::Since>) -> Self {
        let (index, applied) = (state.partition, watch::Sender::new(store.kept().unwrap_or_default()));
        let news = Arc::default();
        let taken = TakenUpTo::of(&state);
        let entries_at_start = chain.entries().len() as u64;
        let inner = Inner { state, store, chain, since, news: Arc::clone(&news), taken: taken.clone() };
        let through = AtomicU64::new(inner.state.control.k);
        let subjects = AtomicU64::new(UNCOUNTED);
        Self { index, inner: RwLock::new(inner), subjects, applied, news, taken, entries_at_start, through }
    }

    /// What others are to hear of is kept in this folder until they were told. `back`: it stands at a snapshot, and what
    /// was told since is gone from there; the ledger says again that it was told. `truncated`: the ledger cannot give
    /// again what is missing.
    pub fn keep_news_in(&self, dir: &Path, back: bool, truncated: bool) -> Result<(), Unfit> {
        let inner = self.read();
        let (told, given) = (inner.state.news.told_up_to(), inner.state.news.given());
        let disk = |error| Unfit::Store(news_lost(&error));
        let waiting = match given {
            0 => Waiting::anew(dir).map_err(disk)?,
            _ => match Waiting::open(dir, told, given, back).map_err(disk)? {
                Some(waiting) => waiting,
                None if truncated => {
                    tracing::warn!(partition = self.index, told, given, "news that waited is not there");
                    let rest = Waiting::open(dir, told, given, true).map_err(disk)?;
                    rest.map_or_else(|| Waiting::anew(dir).map_err(disk), Ok)?
                }
                None => return Err(Unfit::Unreadable("news")),
            },
        };
        *news_of(&self.news) = Some(waiting);
        Ok(())
    }

    /// The oldest news that nobody was told yet, so many at most.
    pub fn news(&self, most: usize) -> Result<Vec<(u64, Item)>, StoreError> {
        let from = self.read().state.news.told_up_to() + 1;
        let mut waiting = news_of(&self.news);
        waiting.as_mut().map_or(Ok(Vec::new()), |w| w.read(from, most)).map_err(|error| news_lost(&error))
    }

    pub fn index(&self) -> u32 {
        self.index
    }

    /// Applies the frame at `offset`; frames come in order, each once.
    pub fn apply<C: Codec>(&self, offset: u64, bytes: &[u8], frame: &Frame, codec: &C) -> Asked {
        let mut effects = Vec::new();
        {
            let mut inner = self.write();
            inner.since.iter_mut().for_each(kept::Since::begin);
            let mut leaves = Leaves::default();
            for record in &frame.records {
                let input = Input {
                    offset,
                    trace: frame.trace.clone(),
                    record,
                    control: control_entry(record, codec),
                };
                let mut concerned = Vec::new();
                if let Some(by) = Concerned::by(&input) {
                    drop(inner);
                    concerned = self.concerned(by);
                    inner = self.write();
                }
                inner.lend_named(&input, concerned);
                let needs = needs(&inner.state, &input);
                let begun = needs.everything.then(|| begin(&mut inner.state, &input)).flatten();
                match begun {
                    Some((pass, step)) => {
                        drop(inner);
                        let (rows, asked) = self.pass(offset, pass, step, &mut leaves);
                        inner = self.write();
                        inner.store.write(&rows);
                        effects.extend(asked);
                    }
                    None => {
                        let found = inner.store.fetch(&needs);
                        inner.lend_found(&found);
                        let step = step(&mut inner.state, &input, found);
                        inner.state.duties.give_back();
                        inner.decided(offset, &step.decisions, &mut leaves);
                        step.rows().for_each(|row| inner.store.put(row));
                        effects.extend(step.effects);
                    }
                }
            }
            inner.chain.close(offset, bytes, leaves);
            inner.applied(offset + 1, bytes, frame, codec);
            self.through.store(inner.state.control.k, Ordering::Release);
        }
        self.applied.send_replace(offset + 1);
        Asked { partition: self.index, trace: frame.trace.clone(), effects }
    }

    /// Brings to disk what came since the last root, so that a start need not read it again. Answers the frames that
    /// are there; in the middle of one it leaves the root as it is.
    pub fn keep<C: Codec>(&self, codec: &C) -> Result<u64, StoreError> {
        let mut inner = self.write();
        let kept = inner.store.kept().unwrap_or_default();
        match inner.since.as_ref().and_then(kept::Since::at).filter(|at| *at > kept) {
            Some(at) => inner.flush(at, codec).map(|()| at),
            None => Ok(kept),
        }
    }

    /// The same where something was decided since, and not in the middle of it: a sweep is one frame, and costs far more
    /// to read again.
    pub fn keep_news<C: Codec>(&self, codec: &C) -> Result<(), StoreError> {
        let is_news = self.read().since.as_ref().is_some_and(|s| s.is_news() && s.at().is_some());
        if is_news { self.keep(codec).map(drop) } else { Ok(()) }
    }

    /// Both know the same, down to the audit chain; where they keep it is their own affair.
    pub fn knows_what<C: Codec>(&self, other: &Self, codec: &C) -> bool {
        if self.digest() != other.digest() {
            return false;
        }
        let (one, other) = (self.read(), other.read());
        let bytes = |inner: &Inner| kept::bytes(&inner.state, codec);
        let duties = |inner: &Inner| {
            let mut all = Vec::new();
            inner.each_duty(&mut |duty| all.push(duty.clone()));
            all
        };
        one.chain.head() == other.chain.head()
            && duties(&one) == duties(&other)
            && bytes(&one).is_some_and(|known| Some(known) == bytes(&other))
    }

    /// Checksum of the last frame that was applied.
    pub fn last_frame(&self) -> Option<u32> {
        self.read().since.as_ref().filter(|_| self.applied() > 0).map(kept::Since::last)
    }

    /// From here on the audit chain keeps the decisions that this asks about.
    pub fn ask(&self, witness: Witness) {
        self.write().chain.ask(witness);
    }

    /// Merges what has become many on the disk, while others read and write; true = there may be more to do.
    pub fn tidy(&self) -> Result<bool, StoreError> {
        // A writer that waits keeps readers out for as long as one that reads a part for a sweep is at it.
        if !self.read().store.is_crowded() {
            return Ok(false);
        }
        let Some(merge) = self.write().store.begin_merge() else { return Ok(false) };
        let merged = merge.run();
        self.write().store.end_merge(merge, merged)?;
        Ok(true)
    }

    /// Joins what persons have, where a plan asked for it; as [`Self::tidy`]. What waits for a flush goes to the disk first:
    /// it would be in no join.
    pub fn resolve<C: Codec>(&self, codec: &C) -> Result<(), StoreError> {
        if !self.read().store.wants_resolved() {
            return Ok(());
        }
        self.keep(codec)?;
        let Some(merge) = self.write().store.begin_resolving() else { return Ok(()) };
        let merged = merge.run();
        self.write().store.end_merge(merge, merged)
    }

    /// How far a source's topics were taken in: (topic, partition) → highest offset. Waits for no frame.
    pub fn taken(&self, source: &str, generation: i32) -> BTreeMap<(String, i32), i64> {
        self.taken.from(source, generation)
    }

    /// Looks at the state between two frames. Keep it short: the owner waits.
    pub fn read(&self) -> RwLockReadGuard<'_, Inner> {
        self.inner.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Inner> {
        self.inner.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// The offset of the next frame to be applied.
    pub fn applied(&self) -> u64 {
        *self.applied.borrow()
    }

    /// Subjects with something that lives; others get in while they are counted.
    pub fn subjects(&self, when: Subjects) -> u64 {
        let known = self.subjects.load(Ordering::Relaxed);
        if when == Subjects::Lately && known != UNCOUNTED {
            return known;
        }
        let of = self.read().store.alive_parts();
        let counted = (0..of).map(|n| self.read().store.alive_in(n, of)).sum();
        self.subjects.store(counted, Ordering::Relaxed);
        counted
    }

    /// Returns once it has come through entry `k` of the control log: one that concerns every item is in force as soon as
    /// it is begun.
    pub async fn has_come_through(&self, k: u64) {
        loop {
            let next = self.applied();
            if self.through.load(Ordering::Acquire) >= k {
                break;
            }
            self.has_applied(next).await;
        }
    }

    /// Returns once the frame at `offset` has been applied.
    pub async fn has_applied(&self, offset: u64) {
        let mut applied = self.applied.subscribe();
        // The sender lives as long as `self`.
        let _ = applied.wait_for(|next| *next > offset).await;
    }

    /// Digest over everything known here, without ticks, offsets and owner records.
    pub fn digest(&self) -> [u8; 32] {
        let inner = self.read();
        let mut digest = Digest::default();
        inner.store.digest(&mut digest);
        inner.each_duty(&mut |duty| digest.duty(duty));
        inner.state.requests.values().for_each(|r| digest.request(r));
        digest.finish()
    }
}

impl Inner {
    /// The newest life of an item, and its subject as the rules in force ask for it.
    pub fn newest_life(&self, id: ItemId) -> Option<(Life, Subject)> {
        let activity = self.state.control.asks_of_persons();
        let mut found = self.store.fetch(&Needs { items: [id].into(), activity, ..Needs::default() });
        let life = found.lives.remove(&id)?.newest()?.clone();
        let subject = found.subjects.remove(&id.subject);
        Some((life, subject.unwrap_or_else(|| Subject::unknown(id.subject))))
    }

    fn decided(&mut self, offset: u64, decisions: &[Decision], leaves: &mut Leaves) {
        self.chain.decided(offset, decisions, leaves);
        if let Some(since) = &mut self.since {
            since.decided(decisions);
        }
        self.taken.decided(decisions);
        self.hand_news();
    }

    /// From the state into its files, or away.
    fn hand_news(&mut self) {
        let came = self.state.news.take();
        let mut waiting = news_of(&self.news);
        let Some(waiting) = waiting.as_mut() else { return };
        let mut done: std::io::Result<()> = Ok(());
        for (number, item) in &came {
            done = done.and(waiting.push(*number, item));
        }
        if let Err(error) = done {
            let partition = self.state.partition;
            tracing::error!(%error, partition, "news cannot be written: it is tried again");
        }
    }

    fn applied<C: Codec>(&mut self, next: u64, bytes: &[u8], frame: &Frame, codec: &C) {
        let Some(since) = &mut self.since else { return };
        since.frame(next, bytes, frame);
        if self.store.is_full(since.rows(), next)
            && let Err(error) = self.flush(next, codec)
        {
            let partition = self.state.partition;
            tracing::error!(%error, partition, "the store cannot be written: its rows stay in memory");
        }
    }

    fn flush<C: Codec>(&mut self, applied: u64, codec: &C) -> Result<(), StoreError> {
        let Some(since) = &mut self.since else { return Ok(()) };
        let beside = since.beside(&self.state, &self.chain, codec);
        let beside =
            beside.ok_or_else(|| StoreError::Disk("the state cannot be written as bytes".to_owned()))?;
        if let Some(waiting) = news_of(&self.news).as_mut() {
            waiting.sync().map_err(|error| news_lost(&error))?;
        }
        self.store.flush(applied, beside)?;
        since.flushed(self.chain.entries().len());
        if self.state.duties.held() > self.store.duties_held() {
            self.state.duties.put_away();
        }
        // Not earlier: a start from the root before would miss what was told since.
        match news_of(&self.news).as_mut() {
            Some(waiting) => waiting.forget(self.state.news.told_up_to()).map_err(|error| news_lost(&error)),
            None => Ok(()),
        }
    }
}

fn news_of(news: &Mutex<Option<Waiting>>) -> MutexGuard<'_, Option<Waiting>> {
    news.lock().unwrap_or_else(PoisonError::into_inner)
}

fn news_lost(error: &std::io::Error) -> StoreError {
    StoreError::Disk(format!("the news that waits: {error}"))
}

fn fresh(partition: u32, partitions: u32) -> State {
    let heedless = crate::sabotage::removes("watermark");
    State { partition, partitions, heedless, ..State::default() }
}

fn control_entry<C: Codec>(record: &Record, codec: &C) -> Option<Record> {
    let (schema, body) = match record {
        Record::ControlCopy(copy) => (copy.schema, &copy.body),
        Record::Forwarded(letter) => (letter.schema, &letter.body),
        _ => return None,
    };
    codec.decode_record(u16::try_from(schema).ok()?, body).ok()
}
