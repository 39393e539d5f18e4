//! `quietus clock …`

use clap::{Args, Subcommand};

use super::node::NodeArgs;
use super::{Exit, Failure, Output};

#[derive(Debug, Args)]
pub struct Clock {
    #[command(flatten)]
    node: NodeArgs,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// A person looked at the node's clock after a gap, and it is right.
    Accept,
}

impl Clock {
    pub async fn run(self, out: &mut Output) -> Result<Exit, Failure> {
        let client = self.node.client()?;
        let Verb::Accept = self.verb;
        let view = client.accept_clock().await?;
        out.answer(&view, |out, view| out.line(&view.now))?;
        Ok(Exit::Done)
    }
}
