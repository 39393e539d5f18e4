//! `quietus hold …`: legal holds.

use std::time::Duration;

use clap::{Args, Subcommand};

use super::node::{NodeArgs, identity, time};
use super::output::say;
use super::{Exit, Failure, Output};
use crate::surface::client::Client;
use crate::surface::wire::{HoldBody, HoldPlan, HoldView, ReleaseBody, ScopeBody};

#[derive(Debug, Args)]
pub struct Hold {
    #[command(flatten)]
    node: NodeArgs,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Place a hold, and wait until it is effective.
    Place(Box<Place>),
    /// Release a hold: what it blocked is owed again after the cool-down.
    Release {
        id: String,
        /// Why.
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
    },
    /// Every hold.
    List,
    /// One hold as it stands.
    Show { id: String },
}

/// AND across fields, OR within one; later items are covered too.
#[derive(Debug, Args)]
struct Place {
    /// What it is about.
    #[arg(long, value_name = "TEXT")]
    matter: String,
    /// Who demands it.
    #[arg(long, value_name = "TEXT")]
    authority: String,
    /// The authority's own reference.
    #[arg(long, value_name = "TEXT")]
    reference: Option<String>,
    /// Who answers for it here.
    #[arg(long, value_name = "WHO")]
    owner: String,
    /// Why.
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// When somebody must look at it again, a date or an RFC 3339 time.
    #[arg(long, value_name = "DATE")]
    review: String,
    /// What it is about is for its own people.
    #[arg(long)]
    confidential: bool,
    /// Corrections of this category go on; may be given several times.
    #[arg(long, value_name = "CATEGORY")]
    allow: Vec<String>,
    /// Covers everything; no other part of a scope goes with it.
    #[arg(long, conflicts_with_all = ["subject", "item", "process", "category", "purpose", "system", "jurisdiction", "recorded_from", "recorded_to"])]
    all: bool,
    /// `T:V`, `-` for stdin, `@FILE`; this and the following may be given several times.
    #[arg(long, value_name = "T:V")]
    subject: Vec<String>,
    /// The company's id of an item, or `it_…`.
    #[arg(long, value_name = "ID")]
    item: Vec<String>,
    /// The company's id of a process of the subjects.
    #[arg(long, value_name = "ID")]
    process: Vec<String>,
    /// A data category.
    #[arg(long, value_name = "KEY")]
    category: Vec<String>,
    /// A purpose of the policy.
    #[arg(long, value_name = "PURPOSE")]
    purpose: Vec<String>,
    /// A registered system.
    #[arg(long, value_name = "NAME")]
    system: Vec<String>,
    /// A jurisdiction.
    #[arg(long, value_name = "CODE")]
    jurisdiction: Vec<String>,
    /// Recorded at or after, RFC 3339.
    #[arg(long, value_name = "TIME")]
    recorded_from: Option<String>,
    /// Recorded at or before, RFC 3339.
    #[arg(long, value_name = "TIME")]
    recorded_to: Option<String>,
    /// Only say what it would cover.
    #[arg(long)]
    plan: bool,
    /// How long to wait until it is effective; at most a minute.
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = time)]
    wait: Duration,
}

impl Hold {
    pub async fn run(self, out: &mut Output) -> Result<Exit, Failure> {
        let client = self.node.client()?;
        let view = match self.verb {
            Verb::Place(place) => return run_place(&client, *place, out).await,
            Verb::Release { id, reason } => client.release_hold(&id, &ReleaseBody { reason }).await?,
            Verb::Show { id } => client.hold(&id).await?,
            Verb::List => {
                let all = client.holds().await?;
                out.answer(&all, |out, all| list(out, all))?;
                return Ok(Exit::Done);
            }
        };
        out.answer(&view, show)?;
        Ok(Exit::Done)
    }
}

/// A hold that is not effective yet protects nothing for certain: exit 3 with its id.
async fn run_place(client: &Client, place: Place, out: &mut Output) -> Result<Exit, Failure> {
    let (plan, wait) = (place.plan, place.wait);
    let body = place.body()?;
    if plan {
        let plan = client.plan_hold(&body).await?;
        out.answer(&plan, planned)?;
        return Ok(Exit::Done);
    }
    let view = client.place_hold(&body, wait).await?;
    out.answer(&view, show)?;
    if view.state == "effective" {
        return Ok(Exit::Done);
    }
    say(&format!("{} is not effective yet: look again with `quietus hold show {}`", view.id, view.id));
    Ok(Exit::Unknown)
}

impl Place {
    fn body(self) -> Result<HoldBody, Failure> {
        let subjects = self.subject.iter().map(|given| identity(given)).collect::<Result<_, _>>()?;
        let scope = ScopeBody {
            all: self.all,
            subjects,
            items: self.item,
            processes: self.process,
            categories: self.category,
            purposes: self.purpose,
            systems: self.system,
            jurisdictions: self.jurisdiction,
            recorded_from: self.recorded_from,
            recorded_to: self.recorded_to,
        };
        if scope == ScopeBody::default() {
            return Err(Failure::usage(
                "hold place: it must say what it covers: name --subject, --item, --category, --system …, or --all",
            ));
        }
        Ok(HoldBody {
            matter: self.matter,
            authority: self.authority,
            reference: self.reference,
            owner: self.owner,
            reason: self.reason,
            scope,
            review: self.review,
            confidential: self.confidential,
            allow: self.allow,
        })
    }
}

fn planned(out: &mut Output, plan: &HoldPlan) {
    out.pairs(&[("items", plan.covered.items.to_string()), ("copies", plan.covered.copies.to_string())]);
    let rows: Vec<_> = plan.by_system.iter().map(|(s, n)| vec![s.clone(), n.to_string()]).collect();
    out.table(&["system", "copies"], &rows);
}

fn list(out: &mut Output, all: &[HoldView]) {
    let row = |h: &HoldView| {
        let hidden = || "confidential".to_owned();
        let matter = h.matter.clone().unwrap_or_else(hidden);
        vec![h.id.clone(), h.state.clone(), matter, h.covered.items.to_string(), h.review.clone()]
    };
    let rows: Vec<_> = all.iter().map(row).collect();
    out.table(&["hold", "state", "matter", "items", "review"], &rows);
}

fn show(out: &mut Output, hold: &HoldView) {
    let hidden = |text: &Option<String>| text.clone().unwrap_or_else(|| "confidential".to_owned());
    let mut pairs = vec![
        ("hold", hold.id.clone()),
        ("state", hold.state.clone()),
        ("matter", hidden(&hold.matter)),
        ("authority", hidden(&hold.authority)),
        ("owner", hidden(&hold.owner)),
        ("review", hold.review.clone()),
        ("placed", hold.placed_at.clone()),
    ];
    pairs.extend(hold.effective_at.clone().map(|at| ("effective", at)));
    pairs.extend(hold.released_at.clone().map(|at| ("released", at)));
    pairs.push(("covers", format!("{} items, {} copies", hold.covered.items, hold.covered.copies)));
    if !hold.waiting_for.is_empty() {
        let partitions: Vec<_> = hold.waiting_for.iter().map(u32::to_string).collect();
        pairs.push(("waits for", format!("partitions {}", partitions.join(", "))));
    }
    if !hold.not_preserved.is_empty() {
        pairs.push((
            "not preserved",
            format!("{} (they expire data by themselves)", hold.not_preserved.join(", ")),
        ));
    }
    out.pairs(&pairs);
    let rows: Vec<_> =
        hold.in_flight.iter().map(|f| vec![f.command.clone(), f.system.clone(), f.outcome.clone()]).collect();
    out.table(&["in flight", "system", "outcome"], &rows);
}
