//! The last word before a connector's commit: asks the partitions as they stand at that moment, and the holds that the
//! control log has beyond what they have read.

use std::collections::BTreeMap;
use std::sync::{Arc, RwLockReadGuard};

use async_trait::async_trait;
use quietus_contract::{CommandId, Gate, Verdict};
use quietus_core::hold::Hold;
use quietus_core::identity::ItemId;
use quietus_core::item::{Copy, Item};
use quietus_core::life::Life;
use quietus_core::obligation::{Obligation, ObligationId, Stand};

use super::underway::{Through, Underway};
use crate::partition::{Inner, Partition};

/// Lets a command through that is still out under the same attempt, that no hold covers, and while nobody stopped.
#[derive(Debug)]
pub struct LedgerGate {
    partitions: Arc<Vec<Arc<Partition>>>,
    underway: Arc<Underway>,
    commands: BTreeMap<CommandId, (ItemId, u32)>,
}

impl LedgerGate {
    pub fn new(partitions: Arc<Vec<Arc<Partition>>>, underway: Arc<Underway>, duties: &[Obligation]) -> Self {
        let commands = duties.iter().map(|d| (CommandId(d.id.0), (d.item, d.attempt))).collect();
        Self { partitions, underway, commands }
    }

    /// Where the command's duty lives.
    fn home(&self, command: &CommandId) -> Option<usize> {
        let (item, _) = self.commands.get(command)?;
        let of = u32::try_from(self.partitions.len()).unwrap_or(u32::MAX);
        usize::try_from(item.subject.partition(of)).ok()
    }

    fn judge(&self, inner: &Inner, command: &CommandId, holds: &[Hold]) -> Option<Verdict> {
        let (_, attempt) = self.commands.get(command)?;
        let duty = inner.state.duties.get(ObligationId(command.0))?;
        let out = duty.stand == Stand::Ordered && duty.attempt == *attempt;
        let free = out && !inner.state.control.stopped && !held(inner, duty) && !overtaken(inner, duty);
        Some(if free && !held_ahead(inner, duty, holds) { Verdict::Go } else { Verdict::Stop })
    }
}

/// The item began a new life at that place since: what lies there now is not what was to go.
fn overtaken(inner: &Inner, duty: &Obligation) -> bool {
    // Most of the time nobody has come back, and a transaction waits for this answer.
    if inner.state.tally.generations == 0 {
        return false;
    }
    let Some(lives) = inner.store.lives(duty.item) else { return true };
    let later = lives.newest().filter(|life| life.item.generation > duty.generation);
    let there = |life: &Life| life.copy_at(&duty.place).and_then(|at| life.item.copies.get(at).cloned());
    later.and_then(there).is_some_and(|copy| copy.is_live())
}

/// A hold in force covers it.
pub(super) fn held(inner: &Inner, duty: &Obligation) -> bool {
    // Most of the time no hold stands that could concern this person, and a transaction waits for this answer.
    let control = &inner.state.control;
    let mut blocking = control.holds.values().filter(|hold| hold.blocks());
    if !blocking.any(|hold| control.may_concern(&hold.scope, &duty.item.subject)) {
        return false;
    }
    let Some(lives) = inner.store.lives(duty.item) else { return true };
    let life = lives.lives.into_iter().find(|l| l.item.generation == duty.generation);
    let Some(mut life) = life else { return true };
    control.complete(&mut life);
    let Some(copy) = life.copy_at(&duty.place).and_then(|at| life.item.copies.get(at)) else { return true };
    if crate::sabotage::removes("hold") {
        return false;
    }
    duty.parts.iter().any(|part| !control.holds_against(duty.duty, &life.item, copy, part).is_empty())
        || holds_the_person(inner, duty)
}

/// A hold covers it that its partition has not read yet.
fn held_ahead(inner: &Inner, duty: &Obligation, holds: &[Hold]) -> bool {
    let mut ahead = holds.iter().filter(|hold| hold.k > inner.state.control.k);
    ahead.any(|hold| covers(inner, hold, duty)) && !crate::sabotage::removes("ahead")
}

/// This hold stops it, as far as its partition knows the item; one that nobody knows is covered.
pub fn covers(inner: &Inner, hold: &Hold, duty: &Obligation) -> bool {
    let control = &inner.state.control;
    if !control.may_concern(&hold.scope, &duty.item.subject) {
        return false;
    }
    let Some(lives) = inner.store.lives(duty.item) else { return true };
    let life = lives.lives.into_iter().find(|l| l.item.generation == duty.generation);
    let Some(mut life) = life else { return true };
    control.complete(&mut life);
    let Some(copy) = life.copy_at(&duty.place).and_then(|at| life.item.copies.get(at)) else { return true };
    let system = &duty.place.system;
    duty.parts.iter().any(|part| hold.stops(duty.duty, &life.item, copy, part))
        || (control.knows_people_only(system)
            && something_there(inner, duty, |item, copy, part| hold.scope.covers(item, copy, part)))
}

/// Where a system knows the person only, a hold on anything else of theirs there stops it too.
fn holds_the_person(inner: &Inner, duty: &Obligation) -> bool {
    let control = &inner.state.control;
    control.knows_people_only(&duty.place.system)
        && something_there(inner, duty, |item, copy, part| !control.holds_on(item, copy, part).is_empty())
}

/// It is so of some part of what else the person has in that system.
fn something_there(inner: &Inner, duty: &Obligation, is_so: impl Fn(&Item, &Copy, &str) -> bool) -> bool {
    let lives = inner.store.items_of(duty.item.subject).into_iter().filter_map(|id| inner.store.lives(id));
    lives.filter_map(|lives| lives.newest().cloned()).any(|mut life| {
        inner.state.control.complete(&mut life);
        let there = life.item.copies.iter().filter(|c| c.is_live() && c.system == duty.place.system);
        there.into_iter().any(|copy| copy.categories.iter().any(|part| is_so(&life.item, copy, part)))
    })
}

#[async_trait]
impl Gate for LedgerGate {
    async fn may_commit(&self, commands: &[CommandId]) -> Vec<Verdict> {
        let through = |command: &CommandId| {
            let (item, attempt) = *self.commands.get(command)?;
            Some(Through { command: *command, item, attempt })
        };
        let holds = self.underway.ask(commands.iter().filter_map(through));
        // All of a partition's commands are judged by one look at it.
        let mut looks: BTreeMap<usize, RwLockReadGuard<'_, Inner>> = BTreeMap::new();
        let mut judged = Vec::with_capacity(commands.len());
        for command in commands {
            let home = self.home(command).and_then(|at| Some((at, self.partitions.get(at)?)));
            let verdict = home.and_then(|(at, partition)| {
                let inner = looks.entry(at).or_insert_with(|| partition.read());
                self.judge(inner, command, &holds)
            });
            judged.push(verdict.unwrap_or(Verdict::Stop));
        }
        drop(looks);
        let stopped = commands.iter().zip(&judged).filter(|(_, verdict)| **verdict == Verdict::Stop);
        self.underway
            .over(stopped.filter_map(|(command, _)| Some((*command, self.commands.get(command)?.1))));
        judged
    }
}
