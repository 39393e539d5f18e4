//! A node in this process that was told of a load: through intake, ledger, engine and store, as a served one is.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::load::Load;
use super::usage::bytes_below;
use super::{BenchError, Disk};
use crate::clock::{Clock, SystemClock};
use crate::node::{Node, NodeOptions, Running};
use crate::sealing::Keys;
use crate::store::{Database, Store};

/// Producers at once: one prepares while the other's batch is fsynced.
const PRODUCERS: u64 = 4;
/// For the join of a hundred million items.
const AT_REST: Duration = Duration::from_secs(1_800);
const MEDIA: &str = "application/cloudevents-batch+json";

#[derive(Debug)]
pub struct Filled {
    pub node: Arc<Node>,
    running: Running,
    folder: TempDir,
}

impl Filled {
    pub async fn start() -> Result<Self, BenchError> {
        let folder = TempDir::with_prefix("quietus-bench-")?;
        let node = open(folder.path()).await?;
        let running = node.start().await?;
        Ok(Self { node, running, folder })
    }

    /// Sends what `body` makes of each batch; answers when all of it is fsynced and applied. How many events that
    /// were, and after how many seconds they were fsynced, then applied.
    pub async fn feed(
        &self,
        load: Load,
        body: impl Fn(&Load, u64) -> String + Send + Sync + 'static,
    ) -> Result<Fed, BenchError> {
        let (next, body) = (Arc::new(AtomicU64::new(0)), Arc::new(body));
        let begun = Instant::now();
        let lanes = (0..PRODUCERS).map(|_| {
            let (node, next, body) = (Arc::clone(&self.node), Arc::clone(&next), Arc::clone(&body));
            tokio::spawn(async move {
                let mut taken = 0;
                loop {
                    let batch = next.fetch_add(1, Ordering::Relaxed);
                    if batch >= load.batches() {
                        return Ok::<u64, BenchError>(taken);
                    }
                    let prepared = {
                        let (node, body) = (Arc::clone(&node), Arc::clone(&body));
                        let prepare = move || {
                            let body = body(&load, batch);
                            node.prepare_events(MEDIA, |_| None, body.as_bytes(), None)
                        };
                        tokio::task::spawn_blocking(prepare).await.map_err(wrong)?.map_err(wrong)?
                    };
                    let told = node.append_events(prepared).await?;
                    if let Some(rejected) = told.rejected.first() {
                        return Err(BenchError::Wrong(format!("{rejected:?}")));
                    }
                    taken += told.accepted as u64;
                }
            })
        });
        let lanes: Vec<_> = lanes.collect();
        let mut events = 0;
        for lane in lanes {
            events += lane.await.map_err(wrong)??;
        }
        let durable = begun.elapsed();
        while self.node.lags().iter().any(|lag| *lag > 0) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        Ok(Fed { events, durable, applied: begun.elapsed() })
    }

    /// Returns once the stores have done what they do beside their work: who opens one again finds nobody at it.
    pub async fn at_rest(&self) -> Result<(), BenchError> {
        let begun = Instant::now();
        let is_at_it = |store: &dyn Store| store.is_crowded() || store.wants_resolved() || store.is_merging();
        while self.node.partitions.iter().any(|partition| is_at_it(&*partition.read().store)) {
            if begun.elapsed() > AT_REST {
                return Err(BenchError::Wrong("the stores have not come to rest".to_owned()));
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    }

    /// Ends the node and keeps its folder.
    pub async fn stop(self) -> Result<Stopped, BenchError> {
        self.at_rest().await?;
        let Self { node, running, folder } = self;
        running.stop().await?;
        drop(node);
        Ok(Stopped { folder })
    }
}

/// What was fed, and how long it took.
#[derive(Clone, Copy, Debug)]
pub struct Fed {
    pub events: u64,
    pub durable: Duration,
    pub applied: Duration,
}

impl Fed {
    pub fn per_second(&self) -> f64 {
        self.events as f64 / self.applied.as_secs_f64()
    }
}

/// The folder of a node that ended.
#[derive(Debug)]
pub struct Stopped {
    folder: TempDir,
}

impl Stopped {
    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    pub fn disk(&self, items: u64) -> Result<Disk, BenchError> {
        let directory = bytes_below(&self.data())? as f64 / items as f64;
        let database = Database::open(&self.data().join("store")).map_err(wrong)?;
        let live = database.live_bytes().map_err(wrong)? as f64 / items as f64;
        Ok(Disk { live: Some(live), directory })
    }

    /// Opens it again with nothing but its ledger: how long that takes.
    pub async fn rebuild(&self) -> Result<Duration, BenchError> {
        std::fs::remove_dir_all(self.data().join("store"))?;
        let begun = Instant::now();
        let node = open(self.folder.path()).await?;
        let took = begun.elapsed();
        drop(node);
        Ok(took)
    }
}

async fn open(folder: &Path) -> Result<Arc<Node>, BenchError> {
    let (keys, _) = Keys::load_or_create(&folder.join("tenant.key"))?;
    let clock = Arc::new(SystemClock::new()) as Arc<dyn Clock>;
    let options = NodeOptions { settle_ms: 0, ..NodeOptions::at(folder.join("data")) };
    Ok(Node::open(options, keys, clock).await?)
}

fn wrong(error: impl std::fmt::Display) -> BenchError {
    BenchError::Wrong(error.to_string())
}
