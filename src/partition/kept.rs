//! What a partition knows beside its items, kept with them: so that a start goes on where it stood.
//!
//! Invariant: what is restored equals what a replay of the ledger up to the same frame gives. Bytes of another
//! version or other rules, or of another ledger or key, are refused, and the store is then built anew from the ledger.
//! Rejected: JSON (ten times the bytes, and no maps by more than one word), the ledger's Avro (a schema for what
//! nobody else reads).

use std::sync::Arc;

use quietus_core::engine::control::Control;
use quietus_core::engine::{Decision, Kept, State, rests};
use quietus_core::identity::SubjectKey;
use quietus_core::obligation::{Obligation, ObligationId};
use quietus_core::record::{Codec, Frame, Record, SEMANTICS};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::audit::{Chain, ENTRY_BYTES, Entry};
use crate::store::{Beside, DutyRow, KeyMap, KeySet, Lies, StoreError, Unkept};

/// Raised with every change of what lies in [`Kept`] or in an [`Obligation`]: `the_bytes_are_of_this_version`.
const VERSION: u32 = 2;

/// Whose partition it is.
#[derive(Clone, Debug)]
pub struct Home {
    pub index: u32,
    pub of: u32,
    pub salt_key: Vec<u8>,
    pub ledger: [u8; 16],
}

impl Home {
    fn mark(&self) -> [u8; 32] {
        let mut hash = Sha256::new_with_prefix(self.ledger);
        hash.update(self.index.to_be_bytes());
        hash.update(self.of.to_be_bytes());
        hash.update(&self.salt_key);
        hash.finalize().into()
    }
}

/// Why a partition does not go on from what its store holds.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("it was written by another version of this program, or under other rules")]
    Version,
    #[error("it belongs to another ledger or another key")]
    Foreign,
    #[error("its {0} cannot be read")]
    Unreadable(&'static str),
    #[error("it has seen more of the {0} than there is")]
    Ahead(&'static str),
    #[error("it ends before the ledger begins")]
    Behind,
}

/// What moved since the store's last root.
#[derive(Debug)]
pub struct Since {
    home: [u8; 32],
    duties: KeySet<ObligationId>,
    /// What a pass under way moved beside them, as it came; of a duty that comes twice the last counts.
    of_pass: Option<Vec<Arc<Obligation>>>,
    /// Duties that are known no longer, and whose they were.
    forgotten: KeyMap<ObligationId, SubjectKey>,
    events: Vec<u64>,
    /// Something was decided: reading it again costs more than its rows.
    decided: bool,
    /// Audit entries that the store has.
    entries: usize,
    last: u32,
    /// Frames that are in; None = none came yet, or one is being decided and some of it is in the state.
    at: Option<u64>,
}

#[derive(Serialize, Deserialize)]
struct Head {
    home: [u8; 32],
    /// Checksum of the last frame that was applied.
    last: u32,
    /// Of the audit chain.
    open_frames: Vec<u8>,
}

/// What was restored.
pub(super) struct Restored {
    pub state: State,
    pub chain: Chain,
    pub since: Since,
    pub events: Vec<u64>,
}

impl Since {
    pub(super) fn new(home: &Home) -> Self {
        let (duties, forgotten, events) = (KeySet::default(), KeyMap::default(), Vec::new());
        let (home, of_pass) = (home.mark(), None);
        Self { home, duties, of_pass, forgotten, events, decided: false, entries: 0, last: 0, at: None }
    }

    pub(super) fn begin(&mut self) {
        self.at = None;
    }

    pub(super) fn at(&self) -> Option<u64> {
        self.at
    }

    pub(super) fn frame(&mut self, next: u64, bytes: &[u8], frame: &Frame) {
        let of_pass = self.of_pass.take().unwrap_or_default();
        self.duties.extend(of_pass.iter().map(|duty| duty.id));
        self.at = Some(next);
        self.last = crc32c::crc32c(bytes);
        self.events.extend(frame.event_ids());
    }

    pub(super) fn decided(&mut self, decisions: &[Decision]) {
        self.decided |= !decisions.is_empty();
        for decision in decisions {
            if let Decision::Forgot { item, duties } = decision {
                self.forgotten.extend(duties.iter().map(|id| (*id, item.subject)));
            }
        }
        let moved = decisions.iter().filter_map(moved);
        if !self.forgotten.is_empty() {
            // One that has its id is another.
            for duty in moved.clone() {
                self.forgotten.remove(&duty.id);
            }
        }
        match &mut self.of_pass {
            Some(of_pass) => of_pass.extend(moved.cloned()),
            None => self.duties.extend(moved.map(|duty| duty.id)),
        }
    }

    pub(super) fn begin_pass(&mut self) {
        let of_pass = self.of_pass.replace(Vec::new()).unwrap_or_default();
        self.duties.extend(of_pass.iter().map(|duty| duty.id));
    }

    /// Duties that the pass under way moved.
    pub(super) fn of_pass(&self) -> usize {
        self.of_pass.as_ref().map_or(0, Vec::len)
    }

    /// Rows that it will be.
    pub(super) fn rows(&self) -> usize {
        self.duties.len() + self.of_pass() + self.forgotten.len()
    }

    /// Whether anything was decided.
    pub(super) fn is_news(&self) -> bool {
        self.decided
    }

    /// Checksum of the last frame.
    pub(super) fn last(&self) -> u32 {
        self.last
    }

    pub(super) fn beside<'a, C: Codec>(
        &self,
        state: &'a State,
        chain: &Chain,
        codec: &C,
    ) -> Option<Unkept<'a>> {
        let head = Head { home: self.home, last: self.last, open_frames: chain.open_frames() };
        let mut moved: Vec<&Obligation> = self.duties.iter().filter_map(|id| state.duties.get(*id)).collect();
        moved.sort_unstable_by_key(|duty| (duty.item.subject, duty.id));
        let mut forgotten: Vec<_> = self.forgotten.iter().map(|(id, subject)| (*subject, *id)).collect();
        forgotten.sort_unstable();
        Some(Unkept {
            state: postcard::to_allocvec(&(VERSION, SEMANTICS, head, kept(state, codec)?)).ok()?,
            duties: Box::new(in_order(moved, forgotten)),
            entries: chain.entries().iter().skip(self.entries).flat_map(Entry::bytes).collect(),
            events: self.events.clone(),
        })
    }

    /// Duties that the pass under way brought to rest, by (subject, id), for the disk. Not those from before it: it is yet to
    /// see them.
    pub(super) fn at_rest(&mut self) -> Vec<Arc<Obligation>> {
        let mut of_pass = self.of_pass.replace(Vec::new()).unwrap_or_default();
        // The sort leaves what came later behind.
        of_pass.sort_by_key(|duty| (duty.item.subject, duty.id));
        of_pass.reverse();
        of_pass.dedup_by_key(|duty| duty.id);
        of_pass.reverse();
        let (at_rest, under_way) = of_pass.into_iter().partition::<Vec<_>, _>(|duty| rests(duty));
        self.duties.extend(under_way.iter().map(|duty| duty.id));
        at_rest
    }

    /// They came to no disk: the next flush has them.
    pub(super) fn are_not_spilled(&mut self, duties: &[Arc<Obligation>]) {
        self.duties.extend(duties.iter().map(|duty| duty.id));
    }

    /// The store has it still, and it is known no longer.
    pub(super) fn forgot(&self, id: ObligationId) -> bool {
        self.forgotten.contains_key(&id)
    }

    /// Everything is on the disk.
    pub(super) fn flushed(&mut self, entries: usize) {
        self.duties.clear();
        self.forgotten.clear();
        self.events.clear();
        self.decided = false;
        self.entries = entries;
    }
}

fn moved(decision: &Decision) -> Option<&Arc<Obligation>> {
    match decision {
        Decision::Opened(duty) | Decision::Moved { duty, .. } | Decision::Noted(duty) => Some(duty),
        _ => None,
    }
}

/// Duties as they stand, and those that stand no longer, by (subject, id).
fn in_order(
    moved: Vec<&Obligation>,
    forgotten: Vec<(SubjectKey, ObligationId)>,
) -> impl Iterator<Item = Result<DutyRow, StoreError>> {
    let (mut moved, mut forgotten) = (moved.into_iter().peekable(), forgotten.into_iter().peekable());
    std::iter::from_fn(move || {
        let next = moved.peek().map(|duty| (duty.item.subject, duty.id));
        match forgotten.next_if(|gone| next.is_none_or(|next| *gone < next)) {
            Some((subject, id)) => {
                Some(Ok(DutyRow { id: id.0, subject, lies: Lies::Nowhere, bytes: Vec::new() }))
            }
            None => moved.next().map(written),
        }
    })
}

/// Most duties take fewer.
const DUTY_BYTES: usize = 256;

pub(super) fn written(duty: &Obligation) -> Result<DutyRow, StoreError> {
    let lies = match (rests(duty), duty.sent) {
        (false, _) => Lies::UnderWay,
        (true, Some(_)) => Lies::AtRestNow,
        (true, None) => Lies::AtRest,
    };
    let bytes = postcard::to_extend(duty, Vec::with_capacity(DUTY_BYTES))
        .map_err(|error| StoreError::Disk(format!("a duty cannot be written as bytes: {error}")))?;
    Ok(DutyRow { id: duty.id.0, subject: duty.item.subject, lies, bytes })
}

pub(super) fn read_duty(row: &DutyRow) -> Option<Obligation> {
    postcard::from_bytes(&row.bytes).ok()
}

fn kept<C: Codec>(state: &State, codec: &C) -> Option<Kept> {
    let encode =
        |record: &Record| Ok::<_, C::Error>((i32::from(record.schema()), codec.encode_record(record)?));
    Kept::of(state, encode).ok()
}

/// A state without its duties, as bytes: two that are equal have the same.
pub(super) fn bytes<C: Codec>(state: &State, codec: &C) -> Option<Vec<u8>> {
    postcard::to_allocvec(&kept(state, codec)?).ok()
}

/// `duties` tells every duty, `control` what the control log's first `k` entries add up to.
pub(super) fn restore<C: Codec>(
    home: &Home,
    fresh: State,
    beside: Beside,
    duties: impl FnOnce(&mut dyn FnMut(DutyRow) -> Result<(), Unfit>) -> Result<(), Unfit>,
    control: impl FnOnce(u64) -> Option<Control>,
    codec: &C,
) -> Result<Restored, Unfit> {
    // The two numbers first: what follows them may be of another shape.
    let numbers = postcard::take_from_bytes::<(u32, i32)>(&beside.state);
    let (numbers, rest) = numbers.map_err(|_| Unfit::Unreadable("state"))?;
    if numbers != (VERSION, SEMANTICS) {
        return Err(Unfit::Version);
    }
    let read = postcard::from_bytes::<(Head, Kept)>(rest);
    let (head, kept) = read.map_err(|_| Unfit::Unreadable("state"))?;
    if head.home != home.mark() {
        return Err(Unfit::Foreign);
    }
    let control = control(kept.k).ok_or(Unfit::Ahead("control log"))?;
    let (mut recalled, mut misplaced) = (kept.recalled(), KeySet::default());
    duties(&mut |row| {
        let duty = read_duty(&row).ok_or(Unfit::Unreadable("duties"))?;
        let stays = row.lies != Lies::UnderWay;
        if rests(&duty) && !stays {
            misplaced.insert(duty.id);
        }
        recalled.put(duty, stays);
        Ok(())
    })?;
    let decode = |schema: i32, body: &[u8]| {
        let schema = u16::try_from(schema).map_err(|_| ())?;
        codec.decode_record(schema, body).map_err(|_| ())
    };
    let state =
        kept.restore(fresh, control, recalled.all(), decode).map_err(|()| Unfit::Unreadable("state"))?;
    let entries = beside.entries.chunks(ENTRY_BYTES).map(Entry::from_bytes).collect::<Option<Vec<_>>>();
    let count = entries.as_ref().map_or(0, Vec::len);
    let chain = entries.and_then(|all| Chain::resume(home.index, &home.salt_key, all, &head.open_frames));
    let chain = chain.ok_or(Unfit::Unreadable("audit chain"))?;
    let since = Since { duties: misplaced, entries: count, last: head.last, ..Since::new(home) };
    Ok(Restored { state, chain, since, events: beside.events })
}

#[cfg(test)]
mod tests {
    use quietus_core::engine::{Covered, Recalled, Slice, Tally};
    use quietus_core::identity::{ItemId, ItemKey, SubjectKey};
    use quietus_core::obligation::{Block, Cause, Duty, Place, Residue, Stand};
    use quietus_core::request::{Request, RequestAnswer, RequestKind, RequestTarget};
    use quietus_core::time::{Millis, Moment};

    use super::*;

    /// Nothing here is a record.
    struct NoRecords;

    impl Codec for NoRecords {
        type Error = ();

        fn encode<T: Serialize>(&self, _: u16, _: &T) -> Result<Vec<u8>, ()> {
            Err(())
        }

        fn decode<T: for<'de> Deserialize<'de>>(&self, _: u16, _: &[u8]) -> Result<T, ()> {
            Err(())
        }

        fn unknown(&self, _: u16) {}
    }

    fn obligation() -> Obligation {
        Obligation {
            id: ObligationId([7; 16]),
            item: ItemId { subject: SubjectKey([1; 16]), item: ItemKey([2; 16]) },
            generation: 3,
            place: Place { system: "s".into(), dataset: "d.t".into(), cell: vec![9; 3] },
            parts: vec!["user.name".to_owned()].into(),
            duty: Duty::Correct,
            round: 4,
            cause: Cause::Reapply("rp_1".into()),
            stand: Stand::Blocked,
            block: Some(Block::Others { until: Some(Millis(5)) }),
            attempt: 6,
            tries: 7,
            not_before: Some(Millis(8)),
            not_after: Some(Millis(9)),
            rule: Some("r".into()),
            detail: Some("d".into()),
            may_retry: true,
            reference: Some("ref".into()),
            unread: 10,
            uncertain: true,
            absent: true,
            evicted: false,
            claimed: true,
            confirmed: false,
            deadline: Some(Millis(11)),
            residue: Some(Residue { until: None, cause: "backup".into() }),
            values: Some(vec![1, 2]),
            opened: Millis(12),
            judged: Moment::default(),
            sent: Some(Millis(13)),
            executed: Some(Millis(14)),
            verified: None,
            target_at: Some(Millis(15)),
            target_position: Some("0/1".into()),
            trace: None,
        }
    }

    fn request(duty: &Obligation) -> Request {
        Request {
            id: "rq_1".into(),
            kind: RequestKind::Correct,
            subject: duty.item.subject,
            grounds: Some("unlawful".into()),
            purposes: vec!["ads".into()],
            regime: None,
            received: Millis(1),
            due: Millis(2),
            by: Some("ann".into()),
            cancelled: false,
            lifted: Some(Millis(3)),
            overdue: true,
            waits: None,
            members: [duty.item.subject].into(),
            passed_on: true,
            categories: vec!["user.name".into()],
            corrections: Some(vec![4]),
            targets: vec![RequestTarget {
                item: duty.item,
                place: duty.place.clone(),
                categories: duty.parts.to_vec(),
                answer: RequestAnswer::Duty(duty.id),
            }],
            trace: None,
            asked: None,
        }
    }

    fn home() -> Home {
        Home { index: 0, of: 4, salt_key: vec![1; 32], ledger: [2; 16] }
    }

    fn sample() -> (Beside, Vec<DutyRow>) {
        let (mut since, mut state) = (Since::new(&home()), State { partitions: 4, ..State::default() });
        let duty = obligation();
        state.requests.insert("rq_1".into(), request(&duty));
        state.slices.insert("sw_1".into(), Slice { due: 1, ..Slice::default() });
        state.covered.insert("hd_1".into(), Covered { items: 1, by_system: [("s".into(), 1)].into() });
        state.tally = Tally { ignored: 1, ..Tally::default() };
        since.frame(1, b"frame", &Frame::of(Vec::new()));
        let mut recalled = Recalled::default();
        recalled.put(duty.clone(), false);
        state.duties = recalled.all();
        since.decided(&[Decision::Opened(duty.into())]);
        let chain = Chain::new(0, &home().salt_key);
        let Unkept { state, duties, entries, events } = since.beside(&state, &chain, &NoRecords).unwrap();
        (Beside { state, entries, events }, duties.collect::<Result<_, _>>().unwrap())
    }

    fn read(home: &Home, (beside, duties): (Beside, Vec<DutyRow>)) -> Result<Restored, Unfit> {
        let fresh = State { partition: home.index, partitions: home.of, ..State::default() };
        let duties =
            |tell: &mut dyn FnMut(DutyRow) -> Result<(), Unfit>| duties.into_iter().try_for_each(tell);
        restore(home, fresh, beside, duties, |k| (k == 0).then(Control::default), &NoRecords)
    }

    /// Bytes of another layout must not be read as this one: raise [`VERSION`] with these.
    #[test]
    fn the_bytes_are_of_this_version() {
        let (beside, duties) = sample();
        let all = [beside.state.as_slice(), &duties[0].bytes].concat();
        let hash = data_encoding::HEXLOWER.encode(&Sha256::digest(&all)[..8]);
        assert_eq!((VERSION, hash.as_str()), (2, "918bd6d3efc3c2ef"));
    }

    #[test]
    fn what_is_written_is_restored() {
        let restored = read(&home(), sample()).unwrap();
        let duty = obligation();
        assert_eq!(restored.state.duties.get(duty.id), Some(&duty));
        assert_eq!(restored.state.requests["rq_1"], request(&duty));
        assert_eq!(restored.since.last(), crc32c::crc32c(b"frame"));
    }

    #[test]
    fn what_is_not_this_partition_s_is_refused() {
        let refused = |home: Home, beside| read(&home, beside).err().unwrap();
        assert_eq!(refused(Home { ledger: [3; 16], ..home() }, sample()), Unfit::Foreign);
        assert_eq!(refused(Home { salt_key: vec![2; 32], ..home() }, sample()), Unfit::Foreign);
        let mut newer = sample();
        newer.0.state[0] += 1;
        assert_eq!(refused(home(), newer), Unfit::Version);
        let mut short = sample();
        short.0.state.truncate(40);
        assert_eq!(refused(home(), short), Unfit::Unreadable("state"));
        let mut duty = sample();
        duty.1[0].bytes.truncate(9);
        assert_eq!(refused(home(), duty), Unfit::Unreadable("duties"));
        let mut entry = sample();
        entry.0.entries = vec![0; 7];
        assert_eq!(refused(home(), entry), Unfit::Unreadable("audit chain"));
    }
}
