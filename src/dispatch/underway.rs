//! What a hold waits for: commands that the gate let through and whose calls have not ended.
//!
//! Invariant: every question at the gate is asked of the holds that the control log has by then, whatever a partition
//! has read; and what was let through before a hold is listed until its call has ended. So a hold takes effect without
//! waiting for a partition that is deep in a sweep or behind its ledger. Rejected: control entries applied between two
//! slices of a sweep, for a replay would have to cut it at the same places.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use quietus_contract::CommandId;
use quietus_core::engine::control::Control;
use quietus_core::hold::Hold;
use quietus_core::identity::ItemId;
use quietus_core::obligation::Stand;

use crate::partition::Partition;

#[derive(Debug, Default)]
pub struct Underway(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    /// In force, as the control log has them.
    holds: Arc<Vec<Hold>>,
    /// The last of its entries that placed or released one.
    k: u64,
    out: BTreeMap<CommandId, (ItemId, u32)>,
}

/// A command that was let through, under this attempt.
#[derive(Clone, Copy, Debug)]
pub struct Through {
    pub command: CommandId,
    pub item: ItemId,
    pub attempt: u32,
}

impl Underway {
    /// The control log placed or released a hold.
    pub fn follow(&self, control: &Control) {
        let holds = control.holds.values().filter(|hold| hold.blocks()).cloned().collect();
        let mut known = self.known();
        known.holds = Arc::new(holds);
        known.k = control.k;
    }

    /// Whatever is asked at the gate from now on is asked of this hold too.
    pub fn knows(&self, hold: &Hold) -> bool {
        self.known().k >= hold.k
    }

    /// Lists these commands before they are judged, and answers the holds to judge them by: a hold that comes later
    /// finds them listed.
    pub(super) fn ask(&self, commands: impl Iterator<Item = Through>) -> Arc<Vec<Hold>> {
        let mut known = self.known();
        known.out.extend(commands.map(|through| (through.command, (through.item, through.attempt))));
        Arc::clone(&known.holds)
    }

    /// They were stopped, or their call has ended; what is out under a later attempt stays.
    pub fn over(&self, commands: impl Iterator<Item = (CommandId, u32)>) {
        let mut known = self.known();
        for (command, attempt) in commands {
            if known.out.get(&command).is_some_and(|(_, out)| *out <= attempt) {
                known.out.remove(&command);
            }
        }
    }

    /// Before a crash they may have been let through: nobody hears of those calls, which end by their `not_after`.
    pub fn resume(&self, partitions: &[Arc<Partition>]) {
        for partition in partitions {
            let inner = partition.read();
            let ordered = inner.state.duties.standing(Stand::Ordered);
            let out = ordered.map(|duty| (CommandId(duty.id.0), (duty.item, duty.attempt)));
            self.known().out.extend(out);
        }
    }

    /// What was let through, in the order of ids.
    pub fn out(&self) -> Vec<Through> {
        let known = self.known();
        let through = |(command, (item, attempt)): (&CommandId, &(ItemId, u32))| Through {
            command: *command,
            item: *item,
            attempt: *attempt,
        };
        known.out.iter().map(through).collect()
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use quietus_core::identity::{ItemKey, SubjectKey};

    use super::*;

    #[test]
    fn what_was_let_through_is_listed_until_its_attempt_is_over() {
        let underway = Underway::default();
        let item = ItemId { subject: SubjectKey([1; 16]), item: ItemKey([2; 16]) };
        let command = CommandId([3; 16]);
        let through = |attempt| Through { command, item, attempt };
        assert!(underway.ask([through(1)].into_iter()).is_empty());
        assert_eq!(underway.out().len(), 1);
        underway.ask([through(2)].into_iter());
        underway.over([(command, 1)].into_iter());
        assert_eq!(underway.out().first().map(|t| t.attempt), Some(2), "the later attempt is out");
        underway.over([(command, 2)].into_iter());
        assert!(underway.out().is_empty());
    }
}
