//! The way to a connector and back: topics or HTTP.

use async_trait::async_trait;
use quietus_contract::{CommandId, Failure, Problem};

use crate::{Command, Confirmation};

/// Hands over commands and hears their confirmations, those alone that are signed with the system's secret.
#[async_trait]
pub(crate) trait Link: Send + Sync {
    /// An answer for each: handed over (with the confirmation, where it comes at once), or why not.
    async fn tell(&self, commands: &[Command]) -> Vec<Result<Option<Confirmation>, Failure>>;

    /// What was confirmed of these since, each in its place. Where nothing is heard without asking, they are told
    /// again: a connector answers what it has carried out from memory.
    async fn hear(&self, commands: &[Command]) -> Vec<Result<Option<Confirmation>, Failure>>;

    /// How many answers to this command were heard so far.
    fn heard(&self, id: &str) -> usize;

    /// Everything that was confirmed up to now has been heard: what is missing was not said.
    fn is_current(&self) -> bool;

    /// The answers to these commands, up to these attempts, need not be heard again.
    fn settle(&self, _answered: &[(CommandId, u32)]) {}

    async fn check(&self) -> Vec<Problem>;
}
