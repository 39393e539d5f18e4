//! What happens day by day, and what quietus does about it at night.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use quietus_core::obligation::Stand;
use quietus_core::time::Millis;
use serde_json::Value;

use super::disk::Disk;
use super::outside::Outside;
use super::shop::Shop;
use super::{DemoError, DemoOptions, systems};
use crate::clock::{Clock, SimulatedClock};
use crate::node::Node;
use crate::schedule::{sweeps, ticks};

/// Three years.
pub const DAYS: i64 = 1096;
/// When the night's backup is made, and when the sweep runs, after the day's noon.
const BACKUP: i64 = 8 * Millis::HOUR;
const SWEEP: i64 = 14 * Millis::HOUR;
/// The shop restores its customers on one day, to what they were on another.
const RESTORE: i64 = 1010;
const RESTORED: i64 = 1000;
/// How often what has come to its time is waited for, ten milliseconds each.
const PATIENCE: u32 = 2_000;

const POLICY: &str = include_str!("shop.policy.yaml");

/// Seeded choices: SplitMix64, so that a seed tells the same story everywhere.
#[derive(Debug)]
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % sides.max(1)
    }

    pub(super) fn pick<'a>(&mut self, words: &[&'a str]) -> &'a str {
        let at = usize::try_from(self.roll(words.len() as u64)).unwrap_or_default();
        words.get(at).copied().unwrap_or_default()
    }
}

/// The shop with what stands around it, the node, and where in the story we are.
#[derive(Debug)]
pub struct Story {
    pub(super) node: Arc<Node>,
    pub(super) clock: Arc<SimulatedClock>,
    pub(super) dir: PathBuf,
    pub(super) shop: Shop,
    pub(super) disk: Disk,
    pub(super) outside: Outside,
    pub(super) dice: Dice,
    pub(super) subjects: i64,
    pub(super) customers: i64,
    pub(super) next: i64,
    pub(super) events: Vec<Value>,
    pub(super) sent: u64,
    /// What the last night's sweep could not erase.
    failed: u64,
}

impl Story {
    pub async fn new(
        node: Arc<Node>,
        clock: Arc<SimulatedClock>,
        dir: &Path,
        options: &DemoOptions,
    ) -> Result<Self, DemoError> {
        let shop = Shop::create(dir)?;
        let disk = Disk::create(dir).map_err(|cause| DemoError::Io { dir: dir.to_owned(), cause })?;
        Ok(Self {
            node,
            clock,
            dir: dir.to_owned(),
            shop,
            disk,
            outside: Outside::open(dir).await?,
            dice: Dice(options.seed),
            subjects: i64::from(options.subjects.max(20)),
            customers: 0,
            next: 1000,
            events: Vec::new(),
            sent: 0,
            failed: 0,
        })
    }

    pub async fn set_up(&self) -> Result<(), DemoError> {
        self.node.store_policy("shop.policy.yaml", POLICY.as_bytes(), None).await?;
        self.node.publish_policy("demo-shop", None).await?;
        let load = |path: &str| Err(format!("{path}: the demo's manifests name no files"));
        for (file, manifest) in [
            ("shop", systems::shop(&self.dir)),
            ("crm", systems::crm(&self.dir)),
            ("cache", systems::cache(&self.outside.cache)),
            ("partner", systems::partner(&self.outside.partner)),
            ("archive", systems::archive(&self.dir)),
            ("nightly", systems::backups(&self.dir)),
        ] {
            self.node.put_system(&format!("{file}.system.yaml"), manifest.as_bytes(), &load, None).await?;
        }
        Ok(())
    }

    /// Day by day, from three years ago to now. What stands around the shop goes on beyond the story.
    pub async fn tell(mut self, tell: &mut dyn FnMut(&str)) -> Result<Outside, DemoError> {
        let first = self.clock.now();
        let mut held = None;
        for day in 0..DAYS {
            let noon = first.plus(day * Millis::DAY);
            self.clock.set(noon);
            ticks::tick_all(&self.node).await?;
            self.shop_day(day).await?;
            match day {
                100 => self.leaves(13),
                300 => self.comes_back(13, tell).await?,
                400 => {
                    tell("a year on: the customers who closed their accounts 90 days ago are erased by now")
                }
                500 => held = Some(self.hold(3).await?),
                501 => tell("a court asks to preserve everything about customer 3: a legal hold"),
                640 => {
                    if let Some(id) = held.take() {
                        self.node.release_hold(&id, None, Some("the case is closed".to_owned())).await?;
                        tell(
                            "the hold is released; what fell due meanwhile is erased after a day's cool-down",
                        );
                    }
                }
                700 => self.crm_away(tell)?,
                // As the sweep reported it: by now the next try may be under way.
                701 => tell(&format!(
                    "that night: {} could not be erased there, and nothing says otherwise",
                    self.failed
                )),
                706 => self.crm_back(tell)?,
                750 => self.moves(11, tell).await?,
                900 => self.erasure(5, tell).await?,
                912 => self.leaves(15),
                // Still in the backups at the end.
                998 => self.leaves(17),
                1000 => {
                    self.hold(7).await?;
                    tell("another hold, on customer 7; this one stays");
                }
                RESTORE => self.restore(first.plus(RESTORED * Millis::DAY + BACKUP), tell).await?,
                _ => {}
            }
            self.send().await?;
            // Before the clock says so: whoever looks at the hour sees what has rotated by then.
            let rows = self.shop.customers()?;
            self.disk.back_up(&rows, noon.plus(BACKUP)).map_err(|cause| self.io(cause))?;
            self.clock.set(noon.plus(BACKUP));
            if sweeps_on(day) {
                self.clock.set(noon.plus(SWEEP));
                self.sweep().await?;
            }
            if day % 180 == 179 {
                let live = self.node.report(|_| false);
                tell(&format!(
                    "day {}: {} events so far, {} items of {} people live here",
                    day + 1,
                    self.sent,
                    live.items,
                    live.subjects
                ));
            }
        }
        let day = self.clock.now().to_string();
        self.shop.ends(day.get(..10).unwrap_or_default())?;
        self.rotated().await?;
        Ok(self.outside)
    }

    pub(super) fn io(&self, cause: std::io::Error) -> DemoError {
        DemoError::Io { dir: self.dir.clone(), cause }
    }

    /// The day's events, as the shop would post them.
    pub(super) async fn send(&mut self) -> Result<(), DemoError> {
        if self.events.is_empty() {
            return Ok(());
        }
        let body = Value::Array(std::mem::take(&mut self.events)).to_string();
        let taken = self.node.take_events("application/cloudevents-batch+json", body.as_bytes()).await;
        let taken = taken.map_err(|e| DemoError::Refused(e.to_string()))?;
        match taken.rejected.first() {
            None => Ok(()),
            Some(first) => {
                Err(DemoError::Refused(format!("an event was rejected: {}: {}", first.code, first.detail)))
            }
        }
    }

    /// A sweep, until it has come to rest.
    async fn sweep(&mut self) -> Result<(), DemoError> {
        let id = sweeps::start(&self.node, Some("demo".to_owned()), None).await?;
        let closed = || self.node.with_control(|c| c.sweeps.get(&id).is_some_and(|s| s.closed.is_some()));
        let mut quiet = 0;
        while !closed() {
            self.pass(&mut quiet).await?;
        }
        self.failed = sweeps::view(&self.node, &id).map(|s| s.report.failed).unwrap_or_default();
        Ok(())
    }

    /// Waits until something moves; where nothing does, time passes, for retries and polls.
    pub(super) async fn pass(&self, quiet: &mut u32) -> Result<(), DemoError> {
        let moved = tokio::time::timeout(Duration::from_millis(10), self.node.moved.notified()).await;
        if moved.is_err() {
            *quiet += 1;
            if quiet.is_multiple_of(2) {
                self.clock.advance(Duration::from_secs(10));
                ticks::tick_all(&self.node).await?;
            }
        }
        Ok(())
    }

    /// What has come to its time by now was looked at.
    async fn rotated(&self) -> Result<(), DemoError> {
        let ripe = || {
            let now = self.clock.now();
            self.node.partitions.iter().any(|partition| {
                let inner = partition.read();
                let mut residual = inner.state.duties.standing(Stand::Residual);
                residual.any(|d| d.residue.as_ref().and_then(|r| r.until).is_some_and(|until| until <= now))
            })
        };
        let mut waited = 0;
        while ripe() && waited < PATIENCE {
            waited += 1;
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    }
}

/// Nightly where the story looks closely, else every third night; weekly in the first quiet year.
fn sweeps_on(day: i64) -> bool {
    match day {
        0..365 => day % 7 == 0,
        690..710 | 1066.. => true,
        _ => day % 3 == 0,
    }
}

pub(super) fn subject(customer: i64) -> String {
    format!("customer_id:{customer}")
}
