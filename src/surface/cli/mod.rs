//! The command line: one file per group of verbs.
//!
//! Invariants: stdout is data and is written once, at the end; stderr is talk. The exit code is the answer: 0 yes or
//! done, 1 no or partly failed, 2 wrong usage or configuration, 3 could not find out. A verb that this build cannot
//! serve is not there at all, so that clap refuses it.

mod apply;
mod audit;
mod bench;
mod beside;
mod clock;
mod completions;
mod config;
mod connector;
mod dataset;
mod dead_letter;
mod demo;
mod explain;
mod exposure;
mod face;
mod files;
mod findings;
mod hold;
mod import;
mod init;
mod item;
mod node;
mod output;
mod policy;
mod reapply;
mod reference;
mod report;
mod request;
mod scan;
mod schema;
mod serve;
mod settings;
mod source;
mod sweep;
mod system;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

pub use output::{Exit, Failure, Output};
pub use reference::reference;

/// Knows when each item of personal data must be gone, has it erased everywhere, and proves it.
#[derive(Debug, Parser)]
#[command(name = "quietus", version, disable_help_subcommand = true, max_term_width = 110)]
pub struct Cli {
    /// Print data as JSON.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Three simulated years of a shop on this machine, with nothing installed.
    Demo(demo::DemoArgs),
    /// Measure speed and memory; one JSON object.
    #[command(subcommand)]
    Bench(bench::Bench),
    /// Run a node.
    Serve(serve::Serve),
    /// Read a database's catalogue and write its system, dataset and a policy to begin with.
    Init(init::Init),
    /// Bring policies, systems and sources to what files and folders say.
    Apply(apply::Apply),
    /// Check, plan, publish and show retention policies.
    #[command(subcommand)]
    Policy(policy::Policy),
    /// Register, check and switch systems.
    System(system::System),
    /// Check dataset files.
    #[command(subcommand)]
    Dataset(dataset::Dataset),
    /// Try out connectors in other languages.
    #[command(subcommand)]
    Connector(connector::Connector),
    /// Check, import and look at sources.
    Source(source::Source),
    /// Records that could not be read.
    DeadLetter(dead_letter::DeadLetter),
    /// What data subjects ask for.
    Request(request::Request),
    /// Legal holds.
    Hold(hold::Hold),
    /// Plan and run sweeps.
    Sweep(sweep::Sweep),
    /// Erasures again after a restore.
    Reapply(reapply::Reapply),
    /// Why something is kept, or due when.
    Explain(explain::Explain),
    /// What lay in a system during some time, counted by category and purpose.
    Exposure(exposure::Exposure),
    /// Where items stand.
    Item(item::Item),
    /// Verify the ledger and what was decided.
    #[command(subcommand)]
    Audit(audit::Audit),
    /// The node's clock.
    Clock(clock::Clock),
    /// The node's configuration.
    #[command(subcommand)]
    Config(config::ConfigVerb),
    /// Print the JSON Schema of a kind of file.
    Schema(schema::Schema),
    /// Print a completion script for a shell.
    Completions(completions::Completions),
    /// Print this reference as Markdown.
    #[command(hide = true)]
    Reference,
}

/// Reads the arguments, runs the verb, answers the exit code.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(cause) => {
            output::say(&format!("the runtime cannot start: {cause}; allow more threads or open files"));
            return Exit::Unknown.into();
        }
    };
    let mut out = Output::new(cli.json);
    let ended = runtime.block_on(cli.verb.run(&mut out));
    let printed = out.print();
    // Who ends in order has waited for what matters; what an interrupted bench has under way matters to nobody.
    runtime.shutdown_background();
    match (ended, printed) {
        (Err(failure), _) => {
            output::say(&failure.what);
            failure.exit.into()
        }
        (Ok(_), Err(cause)) => {
            output::say(&format!("stdout cannot be written: {cause}"));
            Exit::Unknown.into()
        }
        (Ok(exit), Ok(())) => exit.into(),
    }
}

impl Verb {
    async fn run(self, out: &mut Output) -> Result<Exit, Failure> {
        match self {
            Self::Demo(verb) => verb.run(out).await,
            Self::Bench(verb) => verb.run(out).await,
            Self::Serve(verb) => verb.run().await,
            Self::Init(verb) => verb.run(out).await,
            Self::Apply(verb) => verb.run(out).await,
            Self::System(verb) => verb.run(out).await,
            Self::Connector(verb) => verb.run(out).await,
            Self::Source(verb) => verb.run(out).await,
            Self::DeadLetter(verb) => verb.run(out).await,
            Self::Request(verb) => verb.run(out).await,
            Self::Hold(verb) => verb.run(out).await,
            Self::Sweep(verb) => verb.run(out).await,
            Self::Reapply(verb) => verb.run(out).await,
            Self::Explain(verb) => verb.run(out).await,
            Self::Exposure(verb) => verb.run(out).await,
            Self::Item(verb) => verb.run(out).await,
            Self::Clock(verb) => verb.run(out).await,
            Self::Policy(verb) => verb.run(out).await,
            Self::Dataset(verb) => verb.run(out),
            Self::Audit(verb) => verb.run(out).await,
            Self::Config(verb) => verb.run(out),
            Self::Schema(verb) => verb.run(out),
            Self::Completions(verb) => verb.run(out),
            Self::Reference => {
                out.text(&reference());
                Ok(Exit::Done)
            }
        }
    }
}
