//! `quietus reapply` and `quietus system restored`

use std::time::{Duration, Instant};

use clap::Args;

use super::node::NodeArgs;
use super::output::say;
use super::{Exit, Failure, Output};
use crate::surface::client::Client;
use crate::surface::wire::{ReapplyBody, ReapplyView};

const POLL: Duration = Duration::from_millis(200);

#[derive(Debug, Args)]
pub struct Reapply {
    #[command(flatten)]
    node: NodeArgs,
    /// What was carried out then or later, RFC 3339.
    #[arg(long, value_name = "TIME")]
    since: String,
    /// Only in this system.
    #[arg(long, value_name = "SYSTEM")]
    system: Option<String>,
    /// Return when everything was read back, at most after `--timeout`.
    #[arg(long)]
    wait: bool,
}

impl Reapply {
    pub async fn run(self, out: &mut Output) -> Result<Exit, Failure> {
        let client = self.node.client()?;
        let started = client.reapply(&ReapplyBody { since: self.since, system: self.system }).await?;
        ended(&client, started, self.wait, self.node.patience(), out).await
    }
}

/// Shows how far it has come; waited for, the answer is whether everything was verified.
async fn ended(
    client: &Client,
    started: ReapplyView,
    wait: bool,
    timeout: Duration,
    out: &mut Output,
) -> Result<Exit, Failure> {
    let view = far(client, started, wait, timeout, out).await?;
    if !wait || view.state == "verified" {
        return Ok(Exit::Done);
    }
    say(&format!("{}: {} of {} are stuck; `quietus item` says why", view.id, view.stuck, view.owed));
    Ok(Exit::No)
}

/// Whether a restored system may be opened: no, until everything was verified.
pub async fn reopened(
    client: &Client,
    started: ReapplyView,
    wait: bool,
    timeout: Duration,
    out: &mut Output,
) -> Result<Exit, Failure> {
    let view = far(client, started, wait, timeout, out).await?;
    if view.state == "verified" {
        return Ok(Exit::Done);
    }
    let system = view.system.as_deref().unwrap_or_default();
    say(&format!(
        "keep {system} closed: {} of {} are not verified again, {} of them stuck",
        view.owed.saturating_sub(view.verified),
        view.owed,
        view.stuck
    ));
    Ok(Exit::No)
}

async fn far(
    client: &Client,
    started: ReapplyView,
    wait: bool,
    timeout: Duration,
    out: &mut Output,
) -> Result<ReapplyView, Failure> {
    let asked = Instant::now();
    let mut view = started;
    while wait && view.state == "running" {
        if asked.elapsed() >= timeout {
            return Err(Failure::unknown(format!(
                "{}: {} of {} are still open after {timeout:?}; ask again, or give it more with --timeout",
                view.id, view.open, view.owed
            )));
        }
        tokio::time::sleep(POLL).await;
        view = client.reapplied(&view.id).await?;
    }
    out.answer(&view, show)?;
    Ok(view)
}

fn show(out: &mut Output, view: &ReapplyView) {
    out.pairs(&[
        ("reapply", view.id.clone()),
        ("since", view.since.clone()),
        ("system", view.system.clone().unwrap_or_else(|| "all".to_owned())),
        ("state", view.state.clone()),
        ("owed", view.owed.to_string()),
        ("verified", view.verified.to_string()),
        ("open", view.open.to_string()),
        ("stuck", view.stuck.to_string()),
    ]);
}
