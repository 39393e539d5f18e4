//! `quietus demo`: the whole story on this machine, with nothing installed.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;

use super::output::say;
use super::{Exit, Failure, Output};
use crate::clock::SystemClock;
use crate::demo::{self, Demo, DemoError, DemoOptions};
use crate::node::{Node, NodeOptions};
use crate::sealing::Keys;
use crate::surface::http::{self, HttpConfig};

#[derive(Debug, Args)]
pub struct DemoArgs {
    /// How many people the shop gets to know (at least 20).
    #[arg(long, default_value_t = 300)]
    subjects: u32,
    /// The same seed tells the same story.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// An empty or new folder for the shop's databases, files and the ledger; without it, one below the temporary folder.
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Go on afterwards as a node on http://127.0.0.1:7070, with the real clock.
    #[arg(long)]
    serve: bool,
}

impl DemoArgs {
    pub async fn run(self, out: &mut Output) -> Result<Exit, Failure> {
        let options = DemoOptions { subjects: self.subjects, seed: self.seed, dir: self.dir };
        let demo = demo::run(&options, &mut |line| say(line)).await.map_err(failure)?;
        let adds_up = demo.report.adds_up() && demo.report.audit.ok;
        say(&format!(
            "erased {}, masked {}, verified {} of them; {} held, {} deferred by law, {} until backups rotate; audit over {} decisions",
            demo.report.erased,
            demo.report.masked,
            demo.report.verified,
            demo.report.held,
            demo.report.deferred,
            demo.report.residual,
            demo.report.audit.decisions
        ));
        say(&format!(
            "check it yourself, with sqlite3 and the shell in {}: docs/demo.md",
            demo.dir.display()
        ));
        let json = serde_json::to_string(&demo.report).map_err(|e| Failure::unknown(e.to_string()))?;
        if self.serve {
            println_now(&json)?;
            serve(demo).await?;
        } else {
            out.line(&json);
            demo.running.stop().await.map_err(|e| Failure::unknown(e.to_string()))?;
        }
        Ok(if adds_up { Exit::Done } else { Exit::No })
    }
}

/// The report comes before the node goes on for hours.
fn println_now(line: &str) -> Result<(), Failure> {
    use std::io::Write;
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{line}").and_then(|()| stdout.flush()).map_err(|e| Failure::unknown(e.to_string()))
}

/// The same ledger, now under the real clock.
async fn serve(demo: Demo) -> Result<(), Failure> {
    let gone_wrong = |e: &dyn std::fmt::Display| Failure::usage(e.to_string());
    // What stands around the shop goes on as long as this.
    let Demo { dir, node, running, outside: _outside, .. } = demo;
    running.stop().await.map_err(|e| gone_wrong(&e))?;
    drop(node);
    let data = dir.join("quietus-data");
    let (keys, _) = Keys::load_or_create(&data.join("tenant.key")).map_err(|e| gone_wrong(&e))?;
    let options = NodeOptions { simulated: true, ..NodeOptions::at(&data) };
    let node = Node::open(options, keys, Arc::new(SystemClock::new())).await.map_err(|e| gone_wrong(&e))?;
    let config = HttpConfig::default();
    let listener = http::bind(&config).await.map_err(|e| gone_wrong(&e))?;
    let running = node.start().await.map_err(|e| gone_wrong(&e))?;
    say(&format!("listening on http://{}; Ctrl-C ends it", config.listen));
    let ended = async {
        let _ = tokio::signal::ctrl_c().await;
    };
    http::serve_on(listener, None, Arc::clone(&node), Vec::new(), ended).await.map_err(|e| gone_wrong(&e))?;
    running.stop().await.map_err(|e| gone_wrong(&e))
}

fn failure(error: DemoError) -> Failure {
    match error {
        DemoError::NotEmpty(_) | DemoError::Io { .. } => Failure::usage(error.to_string()),
        DemoError::Shop(_) | DemoError::Outside(_) | DemoError::Node(_) | DemoError::Refused(_) => {
            Failure::unknown(error.to_string())
        }
    }
}
