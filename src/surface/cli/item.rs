//! `quietus item …`: where things stand.

use clap::{Args, Subcommand};

use super::node::{NodeArgs, identity};
use super::output::say;
use super::{Exit, Failure, Output};
use crate::surface::wire::{ItemView, LookupBody};

#[derive(Debug, Args)]
pub struct Item {
    #[command(flatten)]
    node: NodeArgs,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Items by their id or by whom they are about; exit 1 when nothing is known.
    Lookup {
        /// The company's id, or `it_…`.
        #[arg(required_unless_present = "subject")]
        item: Option<String>,
        /// `T:V`, `-` for stdin, `@FILE`.
        #[arg(long, value_name = "T:V")]
        subject: Option<String>,
    },
}

/// Of a look-up that found nothing.
pub const UNKNOWN: &str = "nothing is known of it; is the identity's type the one of the dataset's `subject`? `quietus system show NAME --json` has it";

impl Item {
    pub async fn run(self, out: &mut Output) -> Result<Exit, Failure> {
        let client = self.node.client()?;
        let Verb::Lookup { item, subject } = self.verb;
        let subject = subject.as_deref().map(identity).transpose()?;
        let items = client.look_up(&LookupBody { item, subject, ..LookupBody::default() }).await?;
        out.answer(&items, |out, items| list(out, items))?;
        if items.is_empty() {
            say(UNKNOWN);
            return Ok(Exit::No);
        }
        Ok(Exit::Done)
    }
}

fn list(out: &mut Output, items: &[ItemView]) {
    let mut rows = Vec::new();
    for item in items {
        let due = item.due.clone().unwrap_or_else(|| "no date".to_owned());
        for copy in &item.copies {
            let (system, dataset, outcome) =
                (copy.system.clone(), copy.dataset.clone(), copy.outcome.clone());
            rows.push(vec![item.id.clone(), item.state.clone(), due.clone(), system, dataset, outcome]);
        }
    }
    out.table(&["item", "state", "due", "system", "dataset", "outcome"], &rows);
}
