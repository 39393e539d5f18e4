//! `quietus demo`: three simulated years of a shop, on this machine, with nothing installed.
//!
//! The node is the real one: its ledger, its engine, its connectors on the shop's own databases, files, backups and
//! servers. Only the clock is simulated. The story goes to stderr, the report to stdout; `docs/demo.md` has a command
//! for every number of it.

mod customers;
mod disk;
mod moments;
mod outside;
mod shop;
mod story;
mod systems;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use quietus_core::time::Millis;

use crate::clock::{Clock, SimulatedClock, SystemClock};
use crate::node::{Node, NodeError, NodeOptions, Refusal, Running};
use crate::partition::Report;
use crate::sealing::Keys;

pub use outside::Outside;
pub use story::Story;

#[derive(Clone, Debug)]
pub struct DemoOptions {
    pub subjects: u32,
    pub seed: u64,
    /// A fresh folder; None = one below the system's temporary folder.
    pub dir: Option<PathBuf>,
}

impl Default for DemoOptions {
    fn default() -> Self {
        Self { subjects: 300, seed: 1, dir: None }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    #[error("{}: the folder is not empty: give another one with --dir", .0.display())]
    NotEmpty(PathBuf),
    #[error("{}: {cause}", .dir.display())]
    Io { dir: PathBuf, cause: std::io::Error },
    #[error("the shop's database: {0}")]
    Shop(#[from] rusqlite::Error),
    #[error("the cache or the partner: {0}")]
    Outside(#[from] reqwest::Error),
    #[error(transparent)]
    Node(#[from] NodeError),
    #[error("{0}")]
    Refused(String),
}

impl From<Refusal> for DemoError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Node(error) => Self::Node(error),
            Refusal::Wrong(found) => {
                Self::Refused(found.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
            }
        }
    }
}

/// What a demo leaves behind.
#[derive(Debug)]
pub struct Demo {
    pub report: Report,
    pub dir: PathBuf,
    pub node: Arc<Node>,
    pub running: Running,
    /// The servers around the shop; they end with this.
    pub outside: Outside,
}

/// Tells the whole story and answers with the report.
pub async fn run(options: &DemoOptions, tell: &mut dyn FnMut(&str)) -> Result<Demo, DemoError> {
    let started = Instant::now();
    let dir = folder(options)?;
    let now = SystemClock::new().now();
    // The day begins at noon, so that the last night ends before now.
    let noon = Millis(now.0 - now.0.rem_euclid(Millis::DAY) - Millis::DAY / 2);
    let clock = Arc::new(SimulatedClock::at(noon.plus(-story::DAYS * Millis::DAY)));
    tell(&format!("the demo's folder is {}", dir.display()));
    let (node, running) = node(&dir, Arc::clone(&clock)).await?;
    let story = Story::new(Arc::clone(&node), clock, &dir, options).await?;
    story.set_up().await?;
    let outside = story.tell(tell).await?;
    let mut report = node.report(|_| true);
    report.seconds = started.elapsed().as_secs_f64();
    Ok(Demo { report, dir, node, running, outside })
}

async fn node(dir: &Path, clock: Arc<SimulatedClock>) -> Result<(Arc<Node>, Running), DemoError> {
    let io = |cause| DemoError::Io { dir: dir.to_owned(), cause };
    let data = dir.join("quietus-data");
    std::fs::create_dir_all(&data).map_err(io)?;
    let (keys, _) = Keys::load_or_create(&data.join("tenant.key")).map_err(NodeError::from)?;
    let options = NodeOptions { simulated: true, settle_ms: 0, ..NodeOptions::at(&data) };
    let node = Node::open(options, keys, clock).await?;
    let running = node.start().await?;
    Ok((node, running))
}

fn folder(options: &DemoOptions) -> Result<PathBuf, DemoError> {
    let dir = match &options.dir {
        Some(dir) => dir.clone(),
        None => std::env::temp_dir().join(format!("quietus-demo-{}-{}", options.seed, std::process::id())),
    };
    let io = |cause| DemoError::Io { dir: dir.clone(), cause };
    std::fs::create_dir_all(&dir).map_err(io)?;
    if std::fs::read_dir(&dir).map_err(io)?.next().is_some() {
        return Err(DemoError::NotEmpty(dir));
    }
    std::fs::canonicalize(&dir).map_err(io)
}
