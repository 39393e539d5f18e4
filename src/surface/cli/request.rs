//! `quietus request …`: what data subjects ask for.

use std::collections::BTreeMap;

use clap::{Args, Subcommand};

use super::audit::print_certificate;
use super::node::{NodeArgs, identity, secret};
use super::{Exit, Failure, Output};
use crate::surface::client::Client;
use crate::surface::wire::{MoveBody, RequestBody, RequestView};

#[derive(Debug, Args)]
pub struct Request {
    #[command(flatten)]
    node: NodeArgs,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Have everything erased that may be.
    Erase(Asked),
    /// Have values corrected wherever they lie.
    Correct {
        #[command(flatten)]
        asked: Asked,
        /// `CATEGORY=VALUE`; the value may be `-` or `@FILE`; without `=` the value is cleared. May be given several times.
        #[arg(long = "set", value_name = "CATEGORY=VALUE", required = true)]
        set: Vec<String>,
    },
    /// Have the data left unused; systems that cannot say so.
    Restrict(Asked),
    /// What is held where, by category and purpose, and until when.
    Access(Asked),
    /// Object to uses of legitimate interest.
    Object(Asked),
    /// Withdraw consent.
    Withdraw(Asked),
    /// Every request.
    List,
    /// One request and what became of it.
    Show { id: String },
    /// Take it back, while nothing has been done.
    Cancel {
        id: String,
        /// Why.
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
    },
    /// Who asked with `--unverified` is who they say: it is carried out now.
    VerifyIdentity {
        id: String,
        /// How it was verified.
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
    },
    /// End a restriction.
    Lift {
        id: String,
        /// Why.
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
    },
    /// The evidence for it, as JSON: `audit check-certificate` holds it against the public key.
    Certificate { id: String },
    /// Decide what a person must decide.
    Decide {
        id: String,
        /// End the purposes, or keep them.
        #[arg(value_parser = ["end", "keep"])]
        decision: String,
        /// Only this purpose; may be given several times. Without it all that wait.
        #[arg(long = "purpose", value_name = "PURPOSE")]
        purposes: Vec<String>,
        /// Why.
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
    },
    /// Give it more time, for a reason.
    Extend {
        id: String,
        /// RFC 3339.
        #[arg(long, value_name = "TIME")]
        until: String,
        /// Why.
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
}

#[derive(Debug, Args)]
struct Asked {
    /// Who asks, `T:V`; `-` reads stdin, `@FILE` a file. More of one person's identities may follow.
    #[arg(long = "subject", value_name = "T:V", required = true)]
    subjects: Vec<String>,
    /// Why: no_longer_necessary, consent_withdrawn, objected, unlawful, legal_obligation, child.
    #[arg(long, value_name = "CODE")]
    grounds: Option<String>,
    /// Only this purpose; may be given several times.
    #[arg(long = "purpose", value_name = "PURPOSE")]
    purposes: Vec<String>,
    /// The law that sets the clock, such as gdpr or ccpa; without it the policy's `regimes`, else one month.
    #[arg(long, value_name = "REGIME")]
    regime: Option<String>,
    /// Who asks for somebody else, `T:V`.
    #[arg(long, value_name = "T:V")]
    on_behalf_of: Option<String>,
    /// Nobody has verified yet who asks: nothing is done before `request verify-identity`.
    #[arg(long)]
    unverified: bool,
}

impl Request {
    pub async fn run(self, out: &mut Output) -> Result<Exit, Failure> {
        let client = self.node.client()?;
        let view = match self.verb {
            Verb::Erase(asked) => ask(&client, "erase", asked, BTreeMap::new()).await?,
            Verb::Correct { asked, set } => ask(&client, "correct", asked, corrections(&set)?).await?,
            Verb::Restrict(asked) => ask(&client, "restrict", asked, BTreeMap::new()).await?,
            Verb::Access(asked) => ask(&client, "access", asked, BTreeMap::new()).await?,
            Verb::Object(asked) => ask(&client, "object", asked, BTreeMap::new()).await?,
            Verb::Withdraw(asked) => ask(&client, "withdraw", asked, BTreeMap::new()).await?,
            Verb::List => {
                let all = client.requests().await?;
                out.answer(&all, |out, all| list(out, all))?;
                return Ok(Exit::Done);
            }
            Verb::Show { id } => client.request_of(&id).await?,
            Verb::Certificate { id } => {
                print_certificate(&client, &id, out).await?;
                return Ok(Exit::Done);
            }
            Verb::Cancel { id, reason } => client.move_request(&id, "cancel", &because(reason)).await?,
            Verb::VerifyIdentity { id, reason } => {
                client.move_request(&id, "verify-identity", &because(reason)).await?
            }
            Verb::Lift { id, reason } => client.move_request(&id, "lift", &because(reason)).await?,
            Verb::Decide { id, decision, purposes, reason } => {
                let body = MoveBody { purposes, decision: Some(decision), reason, until: None };
                client.move_request(&id, "decide", &body).await?
            }
            Verb::Extend { id, until, reason } => {
                let body = MoveBody { until: Some(until), reason: Some(reason), ..MoveBody::default() };
                client.move_request(&id, "extend", &body).await?
            }
        };
        out.answer(&view, show)?;
        Ok(Exit::Done)
    }
}

fn because(reason: Option<String>) -> MoveBody {
    MoveBody { reason, ..MoveBody::default() }
}

fn corrections(set: &[String]) -> Result<BTreeMap<String, Option<String>>, Failure> {
    let mut values = BTreeMap::new();
    for one in set {
        let (category, value) = match one.split_once('=') {
            Some((category, value)) => (category, Some(secret(value, "the value")?)),
            None => (one.as_str(), None),
        };
        if values.insert(category.to_owned(), value).is_some() {
            return Err(Failure::usage(format!("--set {category}: given twice; set each category once")));
        }
    }
    Ok(values)
}

async fn ask(
    client: &Client,
    kind: &str,
    asked: Asked,
    corrections: BTreeMap<String, Option<String>>,
) -> Result<RequestView, Failure> {
    let mut identities: Vec<String> =
        asked.subjects.iter().map(|given| identity(given)).collect::<Result<_, _>>()?;
    let subject = if identities.len() == 1 { identities.pop() } else { None };
    let body = RequestBody {
        kind: kind.to_owned(),
        subject,
        identities,
        regime: asked.regime,
        grounds: asked.grounds,
        purposes: asked.purposes,
        corrections,
        on_behalf_of: asked.on_behalf_of.as_deref().map(identity).transpose()?,
        unverified: asked.unverified,
    };
    Ok(client.receive(&body).await?)
}

fn list(out: &mut Output, all: &[RequestView]) {
    let row = |r: &RequestView| {
        let targets = r.targets.len().to_string();
        vec![r.id.clone(), r.kind.clone(), r.state.clone(), r.received.clone(), r.due.clone(), targets]
    };
    let rows: Vec<_> = all.iter().map(row).collect();
    out.table(&["request", "type", "state", "received", "due", "targets"], &rows);
}

fn show(out: &mut Output, request: &RequestView) {
    let mut pairs = vec![
        ("request", request.id.clone()),
        ("type", request.kind.clone()),
        ("state", request.state.clone()),
        ("received", request.received.clone()),
        ("due", request.due.clone()),
    ];
    pairs.extend(request.lifted.clone().map(|at| ("lifted", at)));
    out.pairs(&pairs);
    let rows: Vec<_> = request
        .targets
        .iter()
        .map(|t| {
            let held_for = (!t.purposes.is_empty()).then(|| format!("for {}", t.purposes.join(", ")));
            let why = [&held_for, &t.until, &t.rule, &t.law, &t.detail];
            let why = why.into_iter().flatten().cloned().collect::<Vec<_>>();
            let categories = t.categories.join(", ");
            vec![t.system.clone(), t.dataset.clone(), t.outcome.clone(), categories, why.join("; ")]
        })
        .collect();
    out.table(&["system", "dataset", "outcome", "categories", "why"], &rows);
}
