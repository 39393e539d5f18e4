//! Gates and permits to try a connector with.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use quietus_contract::{CommandId, Gate, Permit, Verdict};

/// Lets everything through but what it was told to stop, and remembers what it was asked.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    stop: Vec<CommandId>,
    stop_all: bool,
    delay: Duration,
    asked: Mutex<Vec<CommandId>>,
}

impl Watch {
    pub(crate) fn open() -> Arc<Self> {
        Arc::default()
    }

    pub(crate) fn stopping(commands: &[CommandId]) -> Arc<Self> {
        Arc::new(Self { stop: commands.to_vec(), ..Self::default() })
    }

    pub(crate) fn shut() -> Arc<Self> {
        Arc::new(Self { stop_all: true, ..Self::default() })
    }

    pub(crate) fn slow(delay: Duration) -> Arc<Self> {
        Arc::new(Self { delay, ..Self::default() })
    }

    pub(crate) fn was_asked(&self, command: CommandId) -> bool {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).contains(&command)
    }
}

#[async_trait]
impl Gate for Watch {
    async fn may_commit(&self, commands: &[CommandId]) -> Vec<Verdict> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).extend(commands);
        if !self.delay.is_zero() {
            tokio::time::sleep(self.delay).await;
        }
        let stops = |c: &CommandId| self.stop_all || self.stop.contains(c);
        commands.iter().map(|c| if stops(c) { Verdict::Stop } else { Verdict::Go }).collect()
    }
}

/// A permit that outlives any law.
pub(crate) fn permit() -> Permit {
    permit_for(Duration::from_secs(30))
}

#[expect(clippy::disallowed_methods, reason = "conformance tries connectors on targets of its own making")]
pub(crate) fn permit_for(lease: Duration) -> Permit {
    Permit::issue(1, 1, [0; 32], lease)
}
