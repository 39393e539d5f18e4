//! `quietus sweep …`

use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::{Args, Subcommand};

use super::node::NodeArgs;
use super::output::say;
use super::report::report;
use super::{Exit, Failure, Output};
use crate::surface::client::Client;
use crate::surface::wire::{Plan, PlanLine, SweepView};

/// How often a sweep is asked whether it is done.
const POLL: Duration = Duration::from_millis(200);

#[derive(Debug, Args)]
pub struct Sweep {
    #[command(flatten)]
    node: NodeArgs,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// What a sweep would do now; changes nothing.
    Plan {
        /// Every row of it, for a spreadsheet: item, system, dataset, categories, rule, due, outcome. `-` is stdout,
        /// in place of the plan.
        #[arg(long, value_name = "FILE")]
        csv: Option<PathBuf>,
    },
    /// Turn what is due into orders.
    Run {
        /// Return when it is finished, at most after `--timeout`.
        #[arg(long)]
        wait: bool,
    },
    /// One sweep's report.
    Show { id: String },
    /// Let a sweep that the brake stopped go on.
    Approve { id: String },
    /// No sweep orders anything until `sweep resume`.
    Stop,
    /// Sweeps go on.
    Resume,
}

impl Sweep {
    pub async fn run(self, out: &mut Output) -> Result<Exit, Failure> {
        let client = self.node.client()?;
        match self.verb {
            Verb::Plan { csv: None } => {
                let plan = client.plan_sweep().await?;
                out.answer(&plan, planned)?;
                Ok(Exit::Done)
            }
            Verb::Plan { csv: Some(file) } => {
                let mut plan = client.plan_sweep_rows().await?;
                let text = csv(&plan.rows.take().unwrap_or_default());
                if file.as_os_str() == "-" {
                    out.text(&text);
                    return Ok(Exit::Done);
                }
                std::fs::write(&file, text).map_err(|cause| {
                    Failure::usage(format!(
                        "--csv {}: cannot be written: {cause}; name a file in a folder that is there",
                        file.display()
                    ))
                })?;
                out.answer(&plan, planned)?;
                Ok(Exit::Done)
            }
            Verb::Run { wait: false } => {
                let started = client.start_sweep().await?;
                out.answer(&started, |out, s| out.line(&format!("{}  {}", s.id, s.state)))?;
                Ok(Exit::Done)
            }
            Verb::Run { wait: true } => {
                let started = client.start_sweep().await?;
                let view = finished(&client, &started.id, self.node.patience()).await?;
                swept(out, &view)
            }
            Verb::Show { id } => {
                let view = client.sweep(&id).await?;
                out.answer(&view, show)?;
                Ok(Exit::Done)
            }
            Verb::Approve { id } => {
                let started = client.approve_sweep(&id).await?;
                out.answer(&started, |out, s| out.line(&format!("{}  {}", s.id, s.state)))?;
                Ok(Exit::Done)
            }
            Verb::Stop => switch(&client, "stop", out).await,
            Verb::Resume => switch(&client, "resume", out).await,
        }
    }
}

/// As RFC 4180 has it; times sort as text.
fn csv(rows: &[PlanLine]) -> String {
    let field = |text: &str| match text.contains([',', '"', '\n', '\r']) {
        true => format!("\"{}\"", text.replace('"', "\"\"")),
        false => text.to_owned(),
    };
    let mut text = "item,system,dataset,categories,rule,due,outcome\r\n".to_owned();
    for row in rows {
        let rule = row.rule.clone().unwrap_or_default();
        let categories = row.categories.join(" ");
        let fields = [&row.item, &row.system, &row.dataset, &categories, &rule, &row.due, &row.outcome];
        text.push_str(&fields.map(|f| field(f)).join(","));
        text.push_str("\r\n");
    }
    text
}

/// Asks until it has ended; past the time nothing is known, and the id says where to look.
async fn finished(client: &Client, id: &str, timeout: Duration) -> Result<SweepView, Failure> {
    let asked = Instant::now();
    loop {
        let view = client.sweep(id).await?;
        match view.state.as_str() {
            "running" if asked.elapsed() >= timeout => {
                return Err(Failure::unknown(format!(
                    "{id} is still running after {timeout:?}; look again with `quietus sweep show {id}`, or give it more with --timeout"
                )));
            }
            "running" => tokio::time::sleep(POLL).await,
            _ => return Ok(view),
        }
    }
}

fn swept(out: &mut Output, view: &SweepView) -> Result<Exit, Failure> {
    out.answer(view, show)?;
    let report = &view.report;
    Ok(match view.state.as_str() {
        "finished" if report.failed == 0 && report.refused == 0 => Exit::Done,
        _ => {
            say(&format!(
                "{}: {}, {} failed, {} refused",
                view.id, view.state, report.failed, report.refused
            ));
            Exit::No
        }
    })
}

fn planned(out: &mut Output, plan: &Plan) {
    out.pairs(&[("as of", plan.as_of.clone()), ("root", plan.root.clone())]);
    report(out, &plan.report);
    let rows: Vec<_> = plan.by_rule.iter().map(|r| vec![r.rule.clone(), r.due.to_string()]).collect();
    out.table(&["rule", "due"], &rows);
}

fn show(out: &mut Output, view: &SweepView) {
    out.pairs(&[("sweep", view.id.clone()), ("state", view.state.clone()), ("as of", view.as_of.clone())]);
    report(out, &view.report);
}

async fn switch(client: &Client, verb: &str, out: &mut Output) -> Result<Exit, Failure> {
    let view = client.switch_sweeps(verb).await?;
    out.answer(&view, |out, v| out.line(if v.stopped { "sweeps are stopped" } else { "sweeps go on" }))?;
    Ok(Exit::Done)
}
