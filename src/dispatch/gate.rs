//! The last word before a connector's commit: asks the partitions as they stand at that moment.

use std::collections::BTreeMap;
use std::sync::{Arc, RwLockReadGuard};

use async_trait::async_trait;
use quietus_contract::{CommandId, Gate, Verdict};
use quietus_core::hold::Hold;
use quietus_core::identity::ItemId;
use quietus_core::life::Life;
use quietus_core::obligation::{Obligation, ObligationId, Stand};

use crate::partition::{Inner, Partition};

/// Lets a command through that is still out under the same attempt, that no hold covers, and while nobody stopped.
#[derive(Debug)]
pub struct LedgerGate {
    partitions: Arc<Vec<Arc<Partition>>>,
    commands: BTreeMap<CommandId, (ItemId, u32)>,
}

impl LedgerGate {
    pub fn new(partitions: Arc<Vec<Arc<Partition>>>, duties: &[Obligation]) -> Self {
        let commands = duties.iter().map(|d| (CommandId(d.id.0), (d.item, d.attempt))).collect();
        Self { partitions, commands }
    }

    /// Where the command's duty lives.
    fn home(&self, command: &CommandId) -> Option<usize> {
        let (item, _) = self.commands.get(command)?;
        let of = u32::try_from(self.partitions.len()).unwrap_or(u32::MAX);
        usize::try_from(item.subject.partition(of)).ok()
    }

    fn judge(&self, inner: &Inner, command: &CommandId) -> Option<Verdict> {
        let (_, attempt) = self.commands.get(command)?;
        let duty = inner.state.duties.get(ObligationId(command.0))?;
        let out = duty.stand == Stand::Ordered && duty.attempt == *attempt;
        Some(if out && !inner.state.control.stopped && !held(inner, duty) && !overtaken(inner, duty) {
            Verdict::Go
        } else {
            Verdict::Stop
        })
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
    // Most of the time no hold stands, and a transaction waits for this answer.
    if !inner.state.control.holds.values().any(Hold::blocks) {
        return false;
    }
    let Some(lives) = inner.store.lives(duty.item) else { return true };
    let life = lives.lives.into_iter().find(|l| l.item.generation == duty.generation);
    let Some(mut life) = life else { return true };
    inner.state.control.complete(&mut life);
    let Some(copy) = life.copy_at(&duty.place).and_then(|at| life.item.copies.get(at)) else { return true };
    if crate::sabotage::removes("hold") {
        return false;
    }
    let control = &inner.state.control;
    duty.parts.iter().any(|part| !control.holds_against(duty.duty, &life.item, copy, part).is_empty())
        || holds_the_person(inner, duty)
}

/// Where a system knows the person only, a hold on anything else of theirs there stops it too.
fn holds_the_person(inner: &Inner, duty: &Obligation) -> bool {
    let (control, system) = (&inner.state.control, &duty.place.system);
    if !control.knows_people_only(system) {
        return false;
    }
    let lives = inner.store.items_of(duty.item.subject).into_iter().filter_map(|id| inner.store.lives(id));
    lives.filter_map(|lives| lives.newest().cloned()).any(|mut life| {
        control.complete(&mut life);
        let there = life.item.copies.iter().filter(|copy| copy.is_live() && copy.system == *system);
        there
            .into_iter()
            .any(|copy| copy.categories.iter().any(|c| !control.holds_on(&life.item, copy, c).is_empty()))
    })
}

#[async_trait]
impl Gate for LedgerGate {
    async fn may_commit(&self, commands: &[CommandId]) -> Vec<Verdict> {
        // All of a partition's commands are judged by one look at it.
        let mut looks: BTreeMap<usize, RwLockReadGuard<'_, Inner>> = BTreeMap::new();
        let mut judged = Vec::with_capacity(commands.len());
        for command in commands {
            let home = self.home(command).and_then(|at| Some((at, self.partitions.get(at)?)));
            let verdict = home.and_then(|(at, partition)| {
                let inner = looks.entry(at).or_insert_with(|| partition.read());
                self.judge(inner, command)
            });
            judged.push(verdict.unwrap_or(Verdict::Stop));
        }
        judged
    }
}
