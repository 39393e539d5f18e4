//! The engine: `step(state, record) = decide → evolve → react`.
//!
//! One record of the ledger at a time. [`needs`] says what must be looked up for it, the shell fetches that, and
//! [`step`] decides. A record says what somebody *wants* or *saw*; what comes of it is judged here, when it is
//! read, against the state it finds: so a late order for a held item comes to nothing, on every replay alike.
//!
//! Rejected: deciding where a record is written. Two writers would then need to agree on a state.

mod access;
mod answers;
mod changes;
pub mod control;
mod corrections;
mod dead_letters;
mod decision;
mod derived;
mod duties;
mod duty_book;
mod evidence;
mod evolve;
mod facts;
mod holds;
mod kept;
mod leaf;
mod links;
mod needs;
pub mod news;
mod orders;
mod pass;
mod people;
mod reach;
mod reapply;
mod requests;
pub mod restrict;
mod sieve;
mod state;
mod sweeps;
#[cfg(test)]
mod tests;
mod ticks;
mod words;

use std::borrow::Borrow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

pub use answers::awaits_read_back;
pub use dead_letters::DeadLetters;
pub use decision::{Decision, Effect, Noticed, Row};
pub use duties::{Stop, Wish, judge, judge_under, rules_of, wishes};
pub use duty_book::{Concerned, Duties, named, rests};
pub use evidence::Gone;
pub use kept::{Kept, Recalled};
pub use leaf::{DutyTold, Told};
pub use needs::{Needs, needs};
pub use orders::{MAX_TRIES, waits};
pub use pass::{Pass, begin};
pub use reach::{Reach, Read, read_of};
pub use sieve::{Due, Sieve, may_move};
pub use state::{Alive, Covered, Letter, Slice, State, Tally};
pub use sweeps::is_new;
pub use words::Words;

use crate::identity::{ItemId, SubjectKey};
use crate::item::Subject;
use crate::life::Lives;
use crate::obligation::{Cause, Duty, Event, Obligation, ObligationId};
use crate::record::Record;
use crate::time::{Millis, Moment};
use crate::word::Word;

/// One record as it is read from a partition's ledger.
#[derive(Clone, Debug)]
pub struct Input<'a> {
    /// Offset of its frame in the partition.
    pub offset: u64,
    /// `traceparent` of its frame.
    pub trace: Option<String>,
    pub record: &'a Record,
    /// Of a `ControlCopy` or a `Forwarded`: what is in it, decoded.
    pub control: Option<Record>,
}

/// What the shell looked up.
#[derive(Clone, Debug, Default)]
pub struct Found {
    pub lives: BTreeMap<ItemId, Lives>,
    pub subjects: BTreeMap<SubjectKey, Subject>,
    /// Items that the record is about more than once: no other row of it reads what one wrote. None = any may.
    repeated: Option<BTreeSet<ItemId>>,
}

impl Found {
    pub fn of(lives: BTreeMap<ItemId, Lives>, subjects: BTreeMap<SubjectKey, Subject>) -> Self {
        Self { lives, subjects, repeated: None }
    }

    /// What is written of this item now is read by nothing that this record still asks for.
    fn is_read_no_more(&self, id: ItemId) -> bool {
        !self.lives.contains_key(&id)
            && self.repeated.as_ref().is_some_and(|repeated| !repeated.contains(&id))
    }
}

/// What came of a record.
#[derive(Debug, Default)]
pub struct Step {
    /// In order; every one is already in the state.
    pub decisions: Vec<Decision>,
    /// What the shell must do; a replay drops them.
    pub effects: Vec<Effect>,
}

impl Step {
    /// What the store must write, in order.
    pub fn rows(&self) -> impl Iterator<Item = &Row> {
        self.decisions.iter().filter_map(|decision| match decision {
            Decision::Wrote(row) => Some(row),
            _ => None,
        })
    }

    /// What comes after it.
    pub fn then(&mut self, next: Self) {
        self.decisions.extend(next.decisions);
        self.effects.extend(next.effects);
    }
}

/// Decides what comes of a record, and moves the state there.
pub fn step(state: &mut State, input: &Input<'_>, found: Found) -> Step {
    if let Some((mut pass, mut all)) = begin(state, input) {
        all.then(pass.slice(state, found));
        all.then(pass.end(state));
        return all;
    }
    let mut turn = Turn::new(state, input.trace.as_deref().map(Word::from), found);
    match input.record {
        Record::OwnerStarted(_) => turn.rule(Decision::Began { epoch: input.offset }),
        Record::Tick(r) => ticks::tick(&mut turn, Millis(r.now)),
        Record::SourceAt(r) => {
            let (source, generation) = (r.source.clone(), r.source_generation);
            let position = r.position.clone();
            turn.rule(Decision::Watermark { source, generation, position, time: Millis(r.time) });
        }
        Record::ControlCopy(r) => match &input.control {
            Some(entry) if u64::try_from(r.k).ok() == Some(turn.state.control.k + 1) => {
                control_entry(&mut turn, entry)
            }
            _ => turn.ignore("control entry out of order"),
        },
        Record::Facts(r) => facts::facts(&mut turn, r),
        Record::Changes(r) => changes::changes(&mut turn, r),
        Record::DeadLettered(r) => dead_letters::lettered(&mut turn, r),
        Record::DeadLetterClosed(r) => dead_letters::closed(&mut turn, r),
        Record::Ordered(r) => orders::ordered(&mut turn, r),
        Record::Confirmed(r) => answers::confirmed(&mut turn, r),
        Record::ReadBack(r) => answers::read_back(&mut turn, r),
        Record::RequestReceived(r) => requests::received(&mut turn, r),
        Record::RequestMoved(r) => requests::moved(&mut turn, r),
        Record::Forwarded(r) => links::forwarded(&mut turn, r, input.control.as_ref()),
        Record::Delivered(r) => {
            turn.rule(Decision::Delivered { up_to: u64::try_from(r.up_to).unwrap_or_default() });
        }
        Record::NewsTold(r) => {
            turn.rule(Decision::Told { up_to: u64::try_from(r.up_to).unwrap_or_default() })
        }
        Record::PolicyStored(_)
        | Record::PolicyPublished(_)
        | Record::SystemPut(_)
        | Record::SystemMode(_)
        | Record::SystemRetired(_)
        | Record::SourcePut(_)
        | Record::HoldPlaced(_)
        | Record::HoldReleased(_)
        | Record::HoldEffective(_)
        | Record::SweepOrdered(_)
        | Record::SweepAwaiting(_)
        | Record::SweepClosed(_)
        | Record::SweepSwitch(_)
        | Record::ClockAccepted(_)
        | Record::Acknowledged(_)
        | Record::LinkLimit(_)
        | Record::NewsSwitch(_)
        | Record::ReapplyOrdered(_)
        | Record::EvidenceEnded(_) => turn.ignore("a control record outside the control log"),
    }
    turn.out
}

fn control_entry(turn: &mut Turn<'_>, entry: &Record) {
    let k = turn.state.control.k + 1;
    turn.rule(Decision::Control { k, entry: Box::new(entry.clone()) });
    match entry {
        Record::HoldReleased(r) => holds::released(turn, &r.id),
        Record::ReapplyOrdered(r) => reapply::ordered(turn, r),
        Record::SystemMode(r) if r.mode == "enforce" => requests::enforced(turn, &r.name),
        _ => {}
    }
    turn.effect(Effect::Applied { k });
}

fn wishes_now(
    control: &control::Control,
    life: &crate::life::Life,
    subject: &Subject,
    moment: Moment,
) -> std::collections::BTreeSet<ObligationId> {
    wishes(control, life, subject, moment).iter().map(|w| w.id(life)).collect()
}

/// One record being decided: every decision is evolved at once, so that the next one sees it.
struct Turn<'a> {
    state: &'a mut State,
    found: Found,
    trace: Option<Word>,
    /// Another partition passed this on: nobody passes it on again.
    passed_on: bool,
    out: Step,
}

impl<'a> Turn<'a> {
    fn new(state: &'a mut State, trace: Option<Word>, mut found: Found) -> Self {
        found.lives.values_mut().flat_map(|l| &mut l.lives).for_each(|life| state.control.complete(life));
        Self { state, found, trace, passed_on: false, out: Step::default() }
    }

    fn rule(&mut self, decision: Decision) {
        news::note(self.state, &decision, self.trace.as_deref());
        evolve::evolve(self.state, &mut self.found, &decision);
        if let Decision::Wrote(row) = &decision {
            let lives = row.item().and_then(|id| self.found.lives.get_mut(&id));
            let lives = lives.into_iter().flat_map(|l| &mut l.lives);
            lives.for_each(|life| self.state.control.complete(life));
        }
        if let Decision::Noticed(what) = &decision
            && what.is_alarming()
        {
            self.effect(Effect::Tell(what.clone()));
        }
        self.out.decisions.push(decision);
    }

    fn effect(&mut self, effect: Effect) {
        self.out.effects.push(effect);
    }

    fn ignore(&mut self, why: &'static str) {
        self.rule(Decision::Ignored { why });
    }

    fn write(&mut self, row: Row) {
        self.rule(Decision::Wrote(row));
    }

    /// The other identities of the same person, as far as they are known here.
    fn members(&self, key: SubjectKey) -> Vec<SubjectKey> {
        self.state.control.links.get(&key).into_iter().flatten().copied().collect()
    }

    fn subject(&self, key: SubjectKey) -> Subject {
        self.found.subjects.get(&key).cloned().unwrap_or_else(|| Subject::unknown(key))
    }

    /// Notes something about a duty that does not move.
    fn note(&mut self, id: ObligationId, edit: impl FnOnce(&mut Obligation)) {
        let Some(mut duty) = self.state.duties.get(id).cloned() else { return };
        edit(&mut duty);
        self.rule(Decision::Noted(Arc::new(duty)));
    }

    /// Moves a duty, if its life cycle allows; the rest of it is set by `edit`.
    fn advance(&mut self, id: ObligationId, event: Event, edit: impl FnOnce(&mut Obligation)) -> bool {
        let Some(duty) = self.state.duties.get(id) else { return false };
        let Some(stand) = duty.stand.after(event) else { return false };
        let mut duty = duty.clone();
        duty.stand = stand;
        edit(&mut duty);
        self.rule(Decision::Moved { event, duty: Arc::new(duty) });
        true
    }

    /// Brings the duties of one life in line with what it owes: opens, frees, blocks and withdraws.
    /// Returns the ids now wanted.
    fn settle(&mut self, life: &crate::life::Life, wishes: &[Wish], cause: &Cause) -> Vec<ObligationId> {
        let named: Vec<(ObligationId, &Wish)> = wishes.iter().map(|wish| (wish.id(life), wish)).collect();
        let subject = self.subject(life.item.id.subject);
        self.settle_named(life, &subject, &named, cause);
        named.into_iter().map(|(id, _)| id).collect()
    }

    /// The same by whom the duties' ids are known.
    fn settle_named(
        &mut self,
        life: &crate::life::Life,
        subject: &Subject,
        wishes: &[(ObligationId, impl Borrow<Wish>)],
        cause: &Cause,
    ) {
        for (id, wish) in wishes {
            match self.state.duties.get(*id).cloned() {
                None => self.open(life, wish.borrow(), *id, cause),
                Some(known) => self.renew(&known, wish.borrow(), cause),
            }
        }
        // What nobody wants any more is taken back, unless it is out or already carried out. A sweep decides as of
        // its watermark: what is wanted by now is not taken back by it.
        let by_rule = |d: &Obligation| d.duty != Duty::Correct && !restrict::is_asked_for(d);
        let of_life = |d: &&Obligation| d.generation == life.item.generation && by_rule(d);
        let mine = self.state.duties.of_item(life.item.id).filter(of_life);
        let mut stale: Vec<ObligationId> =
            mine.filter(|d| d.stand.after(Event::Withdraw).is_some()).map(|d| d.id).collect();
        stale.retain(|stale| wishes.iter().all(|(wanted, _)| wanted != stale));
        if !stale.is_empty() {
            let now = wishes_now(&self.state.control, life, subject, reach::moment(self.state, life));
            stale.retain(|id| !now.contains(id));
        }
        for id in stale {
            self.advance(id, Event::Withdraw, |d| d.block = None);
        }
    }

    fn open(&mut self, life: &crate::life::Life, wish: &Wish, id: ObligationId, cause: &Cause) {
        use crate::obligation::Stand;
        let (stand, block) = match &wish.stop {
            None => (Stand::Owed, None),
            Some(Stop::Observed) => (Stand::Observed, None),
            Some(Stop::Blocked(block)) => (Stand::Blocked, Some(block.clone())),
        };
        let duty = Obligation {
            id,
            item: life.item.id,
            generation: life.item.generation,
            place: wish.place.clone(),
            parts: wish.parts.clone(),
            duty: wish.duty,
            round: wish.round,
            cause: cause.clone(),
            stand,
            block,
            attempt: 0,
            tries: 0,
            not_before: None,
            not_after: None,
            rule: wish.rule.clone(),
            detail: None,
            may_retry: false,
            reference: None,
            unread: 0,
            uncertain: false,
            absent: false,
            evicted: false,
            claimed: false,
            confirmed: false,
            deadline: None,
            residue: None,
            values: wish.values.clone(),
            opened: self.state.now,
            judged: wish.judged,
            sent: None,
            executed: None,
            verified: None,
            target_at: None,
            target_position: None,
            trace: self.trace.clone(),
        };
        self.rule(Decision::Opened(Arc::new(duty)));
    }

    /// A duty that exists already is wanted (again).
    fn renew(&mut self, known: &Obligation, wish: &Wish, cause: &Cause) {
        use crate::obligation::{Block, Stand};
        let judged = known.judged.and(wish.judged);
        let event = match (known.stand, &wish.stop) {
            // Out, or carried out: its answer decides.
            (Stand::Ordered | Stand::Accepted | Stand::Executed | Stand::Verified, _) => return,
            (Stand::Residual | Stand::OutOfReach, _) => return,
            (Stand::Owed, None) if judged == known.judged && wish.rule == known.rule => return,
            (Stand::Owed, None) => {
                return self.note(known.id, |d| (d.judged, d.rule) = (judged, wish.rule.clone()));
            }
            (Stand::Blocked, Some(Stop::Blocked(block))) if known.block.as_ref() == Some(block) => return,
            (Stand::Observed, Some(Stop::Observed)) => return,
            // Released, but still cooling down.
            (Stand::Blocked, None)
                if known.block.is_none() && known.not_before.is_some_and(|at| at > self.state.now) =>
            {
                return;
            }
            (_, Some(Stop::Blocked(_))) => Event::Block,
            (_, Some(Stop::Observed)) => Event::Observe,
            (_, None) => Event::Release,
        };
        let block: Option<Block> = match &wish.stop {
            Some(Stop::Blocked(block)) => Some(block.clone()),
            Some(Stop::Observed) | None => None,
        };
        let (cause, rule) = (cause.clone(), wish.rule.clone());
        let anew = known.stand != Stand::Owed;
        self.advance(known.id, event, |d| {
            d.block = block;
            d.cause = cause;
            d.rule = rule;
            d.judged = judged;
            if anew {
                d.tries = 0;
                d.not_before = None;
                d.detail = None;
            }
        });
    }
}
