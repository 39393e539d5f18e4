//! Calls to connectors that are under way: stopped before and after the gate is asked, so that anything may happen
//! in between, and watched for what they really change.

use std::collections::BTreeSet;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};

use async_trait::async_trait;
use futures_util::FutureExt;
use quietus::confirm;
use quietus::dispatch::{LedgerGate, permit, targets};
use quietus_contract::{CommandId, Connector, Gate, Outcome, TargetOutcome, Verdict};
use quietus_core::engine::awaits_read_back;
use quietus_core::obligation::{Duty, Obligation, ObligationId, Stand};
use quietus_core::record::Record;
use quietus_core::time::Millis;
use quietus_core::verdict::Action;

use crate::company::Row;
use crate::invariants::{Broken, Checked, five_nothing_comes_back};
use crate::ledger::Plain;
use crate::plain::{Item, Part, System, Values};
use crate::world::{LEASE, World};

pub struct Call {
    pub system: System,
    pub duties: Vec<Obligation>,
    unopened: Vec<TargetOutcome>,
    future: Pin<Box<dyn Future<Output = Vec<TargetOutcome>>>>,
    asked: Arc<AtomicBool>,
    judged: bool,
    /// Covered by a hold that was in force where they live when the gate was asked.
    pub under_hold: BTreeSet<ObligationId>,
    /// A new life of the item had been told where they live when the gate was asked.
    pub new_lives: BTreeSet<ObligationId>,
    /// Its node has crashed: nobody hears the answer.
    pub orphan: bool,
    /// The node's clock was right when it was sent.
    pub in_time: bool,
}

impl Call {
    /// It has the gate's word, and its node is gone: it may be committed yet, and nobody will hear of it.
    pub fn orphaned(self) -> Option<Self> {
        self.judged.then_some(Self { orphan: true, ..self })
    }
}

/// The real gate, with a pause on either side.
struct PausingGate {
    inner: LedgerGate,
    asked: Arc<AtomicBool>,
}

#[async_trait]
impl Gate for PausingGate {
    async fn may_commit(&self, commands: &[CommandId]) -> Vec<Verdict> {
        Pause(false).await;
        let verdicts = self.inner.may_commit(commands).await;
        self.asked.store(true, Ordering::Relaxed);
        Pause(false).await;
        verdicts
    }
}

struct Pause(bool);

impl Future for Pause {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        match std::mem::replace(&mut self.0, true) {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    }
}

impl World {
    /// A command that was let through is sent.
    pub fn send(&mut self, at: usize) -> Checked {
        let (system, duties) = self.node.sends.swap_remove(at);
        let (corrections, erasures): (Vec<_>, Vec<_>) =
            duties.into_iter().partition(|d| d.duty == Duty::Correct);
        for duties in [erasures, corrections].into_iter().filter(|duties| !duties.is_empty()) {
            self.call(system, duties)?;
        }
        Ok(())
    }

    /// All of them are corrections, or none is.
    fn call(&mut self, system: System, duties: Vec<Obligation>) -> Checked {
        let (targets, unopened) = targets(&self.keys, &self.node.partitions, &duties);
        let now = self.now();
        let permit = permit(&self.node.control, system.name(), &duties, Millis(now), LEASE);
        let asked = Arc::new(AtomicBool::new(false));
        let inner =
            LedgerGate::new(Arc::clone(&self.node.partitions), Arc::clone(&self.node.underway), &duties);
        let gate = Arc::new(PausingGate { inner, asked: Arc::clone(&asked) });
        let connector = self.sites[&system].connector.clone();
        let corrects = duties.iter().any(|d| d.duty == Duty::Correct);
        let future = Box::pin(async move {
            match corrects {
                true => connector.correct(&targets, &permit, gate).await,
                false => connector.erase(&targets, &permit, gate).await,
            }
        });
        self.say(&format!("send {} to {}", duties.len(), system.name()));
        self.node.calls.push(Call {
            system,
            duties,
            unopened,
            future,
            asked,
            judged: false,
            under_hold: BTreeSet::new(),
            new_lives: BTreeSet::new(),
            orphan: false,
            in_time: now == self.real,
        });
        // The lease counts from the call, which begins at once.
        self.go_on(self.node.calls.len() - 1)
    }

    /// A call goes on to its next pause, or to its end.
    pub fn go_on(&mut self, at: usize) -> Checked {
        let mut call = self.node.calls.swap_remove(at);
        let polled = call.future.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        if call.asked.load(Ordering::Relaxed) && !call.judged {
            call.judged = true;
            let held = call.duties.iter().filter(|d| !self.holds_here(d).is_empty());
            call.under_hold = held.map(|d| d.id).collect();
            let overtaken = call.duties.iter().filter(|d| self.has_begun_anew(d));
            call.new_lives = overtaken.map(|d| d.id).collect();
        }
        self.watch(&call)?;
        let Poll::Ready(mut outcomes) = polled else {
            self.node.calls.push(call);
            return Ok(());
        };
        outcomes.append(&mut call.unopened);
        let words: Vec<String> = outcomes.iter().map(|o| format!("{:?}", o.outcome)).collect();
        self.say(&format!("{} answers {}", call.system.name(), words.join(", ")));
        if !call.orphan {
            let accepted = |d: &Obligation| {
                let mine = |o: &&TargetOutcome| o.command.0 == d.id.0;
                outcomes.iter().find(mine).is_some_and(|o| matches!(o.outcome, Outcome::Accepted { .. }))
            };
            let over = call.duties.iter().filter(|d| !accepted(d));
            self.node.underway.over(over.map(|d| (CommandId(d.id.0), d.attempt)));
            let record = confirm::confirmed(call.system.name(), &call.duties, &confirm::told(&outcomes));
            let partition = self.home(self.company.items[&self.by_id[&call.duties[0].item]].person);
            self.node.answers.push((partition, Record::Confirmed(record)));
        }
        Ok(())
    }

    /// What has changed in a system is held against what it was told to do.
    fn watch(&mut self, call: &Call) -> Checked {
        let system = call.system;
        let items: Vec<Item> =
            self.company.rows.keys().filter(|(s, _)| *s == system).map(|(_, item)| *item).collect();
        let rows = self.sites[&system].connector.rows();
        for item in items {
            let there = self.company.lies_there(&rows, system, item);
            let row = &self.company.rows[&(system, item)];
            if let Some(parts) = &there {
                self.is_corrected(call, item, row, parts)?;
            }
            let there_still = |p: &Part| there.as_ref().is_some_and(|parts| parts.contains_key(p));
            let lost: Vec<Part> = row.parts.keys().copied().filter(|p| !there_still(p)).collect();
            if lost.is_empty()
                && let Some(parts) = there
            {
                self.company.rows.get_mut(&(system, item)).unwrap().parts = parts;
                continue;
            }
            let (generation, deleted) = (row.generation, there.is_none());
            let duty = call.duties.iter().find(|d| {
                let whole = d.duty == Duty::Delete;
                self.by_id[&d.item] == item
                    && !matches!(d.duty, Duty::Change(Action::Restrict) | Duty::Correct)
                    && whole == deleted
                    && (whole || lost.iter().all(|p| d.parts.iter().any(|part| Part::of(part) == *p)))
            });
            let Some(duty) = duty else {
                return Broken::of(
                    2,
                    format!("{} lost {lost:?} of item {item} by no command", system.name()),
                );
            };
            self.say(&format!("{} erased {lost:?} of item {item}", system.name()));
            self.may_be_committed(call, duty, generation)?;
            self.memory.erased(item, generation, system);
            self.company.gone_before.insert(item);
            if generation != duty.generation {
                self.company.lost.insert((system, item));
            }
            match there {
                None => {
                    self.company.rows.remove(&(system, item));
                    self.echo(item, system);
                }
                Some(parts) => self.company.rows.get_mut(&(system, item)).unwrap().parts = parts,
            }
        }
        let known = self.company.rows.keys().filter(|(s, _)| *s == system).count();
        five_nothing_comes_back(rows.len() > known, "a row")
    }

    /// A value is another one only by a correction that names it, and one that was gone stays away.
    fn is_corrected(&self, call: &Call, item: Item, row: &Row, parts: &Values) -> Checked {
        for (part, value) in parts {
            let what = || format!("{part:?} of item {item} in {}", call.system.name());
            five_nothing_comes_back(!row.parts.contains_key(part), &what())?;
            if row.parts.get(part) == Some(value) {
                continue;
            }
            let sets = |d: &&Obligation| {
                d.duty == Duty::Correct
                    && self.by_id[&d.item] == item
                    && self.value(d, *part).as_ref() == Some(value)
            };
            match call.duties.iter().find(sets) {
                Some(duty) => self.may_be_committed(call, duty, row.generation)?,
                None => return Broken::of(2, format!("{} is another by no command", what())),
            }
        }
        Ok(())
    }

    /// What a correction sets this part to.
    pub fn value(&self, duty: &Obligation, part: Part) -> Option<String> {
        let named = duty.parts.iter().any(|p| Part::of(p) == part);
        let cell = duty.values.as_ref().filter(|_| named)?;
        let values = self.keys.open_corrections(&duty.item.subject, &duty.item.item, cell).unwrap();
        values.get(part.category())?.as_ref().map(|value| value.reveal().to_owned())
    }

    /// A system's read-back looks at what awaits it; the harness looks for itself.
    pub fn look(&mut self, system: System, partition: u32, at_most: usize) {
        let at = usize::try_from(partition).unwrap();
        let duties: Vec<Obligation> = {
            let inner = self.node.partitions[at].read();
            let applied = self.node.partitions[at].applied();
            let waiting = [Stand::Executed, Stand::Ordered];
            let waiting = waiting.into_iter().flat_map(|s| inner.state.duties.standing(s));
            let free = |d: &&Obligation| match self.node.looking.get(&d.id) {
                None => true,
                Some(written) => written.is_some_and(|offset| offset < applied),
            };
            waiting
                .filter(|d| *d.place.system == *system.name() && awaits_read_back(d))
                .filter(|d| d.not_before.is_none_or(|at| at <= inner.state.now))
                .filter(free)
                .take(at_most)
                .cloned()
                .collect()
        };
        if duties.is_empty() {
            return;
        }
        let (targets, _) = targets(&self.keys, &self.node.partitions, &duties);
        let seen = self.sites[&system].connector.verify(&targets).now_or_never().unwrap();
        let rows = self.sites[&system].connector.rows();
        for duty in &duties {
            let there = self.company.lies_there(&rows, system, self.by_id[&duty.item]);
            let gone = match (&there, duty.duty) {
                (None, _) => true,
                (Some(_), Duty::Delete) => false,
                (Some(parts), Duty::Change(_)) => {
                    duty.parts.iter().all(|p| !parts.contains_key(&Part::of(p)))
                }
                (Some(parts), Duty::Correct) => duty
                    .parts
                    .iter()
                    .map(|p| Part::of(p))
                    .all(|part| self.value(duty, part).as_ref() == parts.get(&part)),
            };
            self.memory.looked(duty, gone);
            self.node.looking.insert(duty.id, None);
        }
        let words: Vec<String> = seen.iter().map(|s| format!("{:?}", s.finding)).collect();
        self.say(&format!("{} is read back: {}", system.name(), words.join(", ")));
        let record = confirm::read_back(system.name(), &duties, &seen);
        self.node.answers.push((partition, Record::ReadBack(record)));
    }

    /// One of the answers is written.
    pub fn answer(&mut self, at: usize) {
        let (partition, record) = self.node.answers.remove(at);
        let seen: Vec<ObligationId> = match &record {
            Record::ReadBack(r) => {
                r.seen.iter().filter_map(|s| ObligationId::from_slice(&s.obligation)).collect()
            }
            _ => Vec::new(),
        };
        let offset = self.append(partition, record, Plain::Nothing);
        self.node.looking.extend(seen.into_iter().map(|id| (id, Some(offset))));
    }
}
