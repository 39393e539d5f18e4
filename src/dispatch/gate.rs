//! The last word before a connector's commit: asks the partitions as they stand at that moment.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use quietus_contract::{CommandId, Gate, Verdict};
use quietus_core::identity::ItemId;
use quietus_core::obligation::{Obligation, ObligationId, Stand};

use crate::partition::{Inner, Partition};
use crate::store::Store;

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

    fn judge(&self, command: &CommandId) -> Option<Verdict> {
        let (item, attempt) = self.commands.get(command)?;
        let of = u32::try_from(self.partitions.len()).unwrap_or(u32::MAX);
        let at = usize::try_from(item.subject.partition(of)).ok()?;
        let inner = self.partitions.get(at)?.read();
        let duty = inner.state.duties.get(ObligationId(command.0))?;
        let out = duty.stand == Stand::Ordered && duty.attempt == *attempt;
        Some(if out && !inner.state.control.stopped && !held(&inner, duty) {
            Verdict::Go
        } else {
            Verdict::Stop
        })
    }
}

fn held(inner: &Inner, duty: &Obligation) -> bool {
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
}

#[async_trait]
impl Gate for LedgerGate {
    async fn may_commit(&self, commands: &[CommandId]) -> Vec<Verdict> {
        commands.iter().map(|c| self.judge(c).unwrap_or(Verdict::Stop)).collect()
    }
}
