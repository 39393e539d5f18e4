//! The licence to destroy. Only dispatch can make one; every destructive call carries it.

use std::time::Duration;

use async_trait::async_trait;

use crate::target::CommandId;

/// Goes with every destructive call; its fields are private and it has one constructor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Permit {
    policy_version: u64,
    control_k: u64,
    plan_hash: [u8; 32],
    lease: Duration,
}

impl Permit {
    /// Banned by clippy and by the architecture test outside dispatch and conformance.
    pub fn issue(policy_version: u64, control_k: u64, plan_hash: [u8; 32], lease: Duration) -> Self {
        Self { policy_version, control_k, plan_hash, lease }
    }

    pub fn policy_version(&self) -> u64 {
        self.policy_version
    }

    pub fn control_k(&self) -> u64 {
        self.control_k
    }

    pub fn plan_hash(&self) -> &[u8; 32] {
        &self.plan_hash
    }

    /// How long this permit lives, counted from the call: the connector adds it to the target's own `now()` at the
    /// start of its transaction and commits nothing past that.
    pub fn lease(&self) -> Duration {
        self.lease
    }
}

/// The last word before a commit: a hold placed since the command was sent stops it here.
#[async_trait]
pub trait Gate: Send + Sync {
    /// One verdict per command, in order. Asked inside the transaction, right before the commit.
    async fn may_commit(&self, commands: &[CommandId]) -> Vec<Verdict>;
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Go,
    /// Covered by a hold, or no longer owed: roll back, answer `Blocked`.
    Stop,
}
