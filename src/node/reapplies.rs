//! Erasures again after a restore: ordered, and told when all of it was read back.

use quietus_core::engine::control::Reapply;
use quietus_core::obligation::{Cause, Obligation, Stand};
use quietus_core::record::{ReapplyOrdered, Record};
use quietus_core::time::Millis;

use super::{Node, NodeError, fresh_id};

/// How far a reapply has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reapplied {
    /// Duties that were owed again.
    pub owed: u64,
    pub verified: u64,
    /// Not read back yet, and still being tried.
    pub open: u64,
    /// Waits for a person or a later time: failed, refused, blocked, observed, residual.
    pub stuck: u64,
}

impl Reapplied {
    /// Everything was read back as gone.
    pub fn is_verified(&self) -> bool {
        self.open == 0 && self.stuck == 0
    }
}

impl Node {
    /// Owes again what was carried out since then; `restored` = the system was set back to the state of that time.
    pub async fn reapply(
        &self,
        since: Millis,
        system: Option<String>,
        restored: bool,
        by: Option<String>,
    ) -> Result<Reapply, NodeError> {
        if let Some(name) = &system {
            self.system(name)?;
        }
        if since > self.now() {
            return Err(NodeError::Refused {
                code: "since-in-the-future",
                what: format!("nothing has been carried out since {since}"),
                fix: "name the time of the state that was restored".to_owned(),
            });
        }
        self.is_known_since(since)?;
        crate::schedule::ticks::tick_all(self).await?;
        let id = fresh_id("ra");
        let at = self.now().0;
        let record = ReapplyOrdered { id: id.clone(), since: since.0, system, restored, by, at };
        self.decree(Record::ReapplyOrdered(record)).await?;
        self.registry().nudge();
        self.reapplied(&id).map(|(reapply, _)| reapply)
    }

    /// Refuses what asks for the time whose evidence has ended.
    pub(super) fn is_known_since(&self, since: Millis) -> Result<(), NodeError> {
        match self.with_control(|control| control.evidence_ended).filter(|ended| since < *ended) {
            None => Ok(()),
            Some(ended) => Err(NodeError::NotFound {
                what: format!(
                    "what was gone before {ended} is no longer known: the policy's `evidence:` has ended; ask from then on"
                ),
            }),
        }
    }

    pub fn reapplied(&self, id: &str) -> Result<(Reapply, Reapplied), NodeError> {
        let reapply = self.with_control(|c| c.reapplies.get(id).cloned());
        let reapply =
            reapply.ok_or_else(|| NodeError::NotFound { what: format!("there is no reapply {id}") })?;
        Ok((reapply, self.how_far(id)))
    }

    /// The last time this system was restored, and how far its erasures are from being verified again.
    pub fn restored(&self, system: &str) -> Option<(Reapply, Reapplied)> {
        let last = self.with_control(|c| {
            let mine = c.reapplies.values().filter(|r| r.restored && r.system.as_deref() == Some(system));
            mine.max_by_key(|r| r.k).cloned()
        })?;
        let far = self.how_far(&last.id);
        Some((last, far))
    }

    /// As [`Node::restored`], while its erasures are not verified again: until then it is not to be opened.
    pub fn closed(&self, system: &str) -> Option<(Reapply, Reapplied)> {
        self.restored(system).filter(|(_, far)| !far.is_verified())
    }

    /// Refuses what would leave a restored system unverified, or take what it brought back for records.
    pub(super) fn may_be_used(&self, system: &str) -> Result<(), NodeError> {
        let Some((reapply, far)) = self.closed(system) else { return Ok(()) };
        Err(NodeError::Conflict {
            code: "restored-unverified",
            what: still_closed(system, &reapply, &far),
            fix: format!("wait until `quietus system restored {system}` answers 0"),
        })
    }

    fn how_far(&self, id: &str) -> Reapplied {
        let mut far = Reapplied::default();
        for partition in self.partitions.iter() {
            let inner = partition.read();
            let mine = |d: &&Obligation| matches!(&d.cause, Cause::Reapply(by) if **by == *id);
            for duty in inner.state.duties.all().filter(mine) {
                far.owed += u64::from(duty.stand != Stand::Withdrawn);
                match duty.stand {
                    Stand::Verified => far.verified += 1,
                    Stand::Executed if duty.confirmed => far.stuck += 1,
                    Stand::Owed | Stand::Ordered | Stand::Accepted | Stand::Executed => far.open += 1,
                    Stand::Failed if duty.may_retry => far.open += 1,
                    Stand::Blocked | Stand::Residual | Stand::Refused | Stand::OutOfReach => far.stuck += 1,
                    Stand::Failed | Stand::Observed => far.stuck += 1,
                    Stand::Withdrawn => {}
                }
            }
        }
        far
    }
}

/// Why it is not to be opened.
pub(super) fn still_closed(system: &str, reapply: &Reapply, far: &Reapplied) -> String {
    let Reapply { since, .. } = reapply;
    let Reapplied { owed, verified, .. } = far;
    format!("{system} was restored to {since}, and {verified} of {owed} erasures are verified again")
}
