//! Scanning a system: what lies there is recorded, what came back is found, what has gone is noticed.
//!
//! Invariant: a page counts once its facts are durable. A copy counts as gone only when it was known before the scan
//! began, the scan did not come by its row, and a read-back by its key finds nothing: a row written meanwhile, or
//! one whose event came before its commit, is never taken for gone. Rejected: trusting the scan alone, which moves
//! while the database does.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use quietus_contract::{CommandId, Connector, Failure, Finding, Page, Reading, Since, Target, Work};
use quietus_core::identity::ItemId;
use quietus_core::record::{Change, ChangeKind, Changes, Origin, Record, SourceAt};
use quietus_core::system::Manifest;
use quietus_core::time::Millis;
use serde::{Deserialize, Serialize};
use tokio::runtime::Handle;

use super::intake::Prepared;
use super::{Node, NodeError};
use crate::intake::scanned::{Known, Told};
use crate::intake::{Collected, Feed};

/// Rows a page: short for the database, long enough that the way there does not count.
const PAGE_ROWS: usize = 4_096;
/// Rows read back at a time.
const READ_BACK: usize = 500;
const TRIES: u32 = 5;
const BACK_OFF: Duration = Duration::from_millis(500);
/// What changed is looked for from this long before the scan before: a commit may come later than the time it
/// writes.
const OVERLAP: i64 = 10 * Millis::MINUTE;

/// `POST /v1/systems/{name}/scan`, and how it stands.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ScanView {
    pub system: String,
    /// `running`, `finished`, `failed`.
    pub state: String,
    /// Every row, or those that changed since the scan before.
    pub full: bool,
    pub started: String,
    pub finished: Option<String>,
    /// What stopped it.
    pub error: Option<String>,
    pub rows: u64,
    pub recorded: u64,
    pub collections: Vec<CollectionScanned>,
}

/// What a scan found in one collection.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(default)]
pub struct CollectionScanned {
    pub dataset: String,
    /// Why it was not read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub skipped: Option<String>,
    /// Rows read.
    pub rows: u64,
    /// Rows recorded, for the first time or with something new.
    pub recorded: u64,
    /// Rows known already as they stand.
    pub known: u64,
    /// Rows that name nobody.
    pub without_subject: u64,
    /// Rows whose key is empty.
    pub without_key: u64,
    /// Rows that do not say when they began: never due until something does.
    pub undated: u64,
    /// Copies known before whose rows are no longer there.
    pub gone: u64,
    /// Code of a refusal → rows.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub refused: BTreeMap<String, u64>,
}

/// The scans of this node: one of a system at a time, the newest kept.
#[derive(Debug, Default)]
pub struct Scans(Mutex<BTreeMap<String, ScanView>>);

impl Scans {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, ScanView>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// False = one is running.
    fn begin(&self, view: ScanView) -> bool {
        let mut scans = self.lock();
        let runs = scans.get(&view.system).is_some_and(|s| s.state == "running");
        if !runs {
            scans.insert(view.system.clone(), view);
        }
        !runs
    }

    fn with(&self, system: &str, change: impl FnOnce(&mut ScanView)) {
        if let Some(view) = self.lock().get_mut(system) {
            change(view);
        }
    }
}

impl Node {
    /// The newest scan of a system.
    pub fn scan_of(&self, name: &str) -> Option<ScanView> {
        self.scans.lock().get(name).cloned()
    }

    /// Starts a scan; where one is running already, that is it.
    pub fn start_scan(self: &Arc<Self>, name: &str, full: bool) -> Result<ScanView, NodeError> {
        let manifest = self.system(name)?;
        self.may_be_used(name)?;
        let connector = match self.registry().connector(name) {
            Some(Ok(connector)) => connector,
            Some(Err(failure)) => {
                return Err(NodeError::Conflict {
                    code: "not-connected",
                    what: format!("{name} is not connected: {}", failure.detail),
                    fix: "mend `connection` in its manifest and register it again".to_owned(),
                });
            }
            None => return Err(NodeError::NotFound { what: format!("system {name} is not connected yet") }),
        };
        if !connector.describe().scan {
            return Err(NodeError::Conflict {
                code: "cannot-scan",
                what: format!("a {} system cannot be scanned", manifest.kind),
                fix: "let events or its origin's `copies_of` say what lies there".to_owned(),
            });
        }
        let view = ScanView {
            system: name.to_owned(),
            state: "running".to_owned(),
            full,
            started: self.now().to_string(),
            ..ScanView::default()
        };
        if self.scans.begin(view) {
            let (node, name, runtime) = (Arc::clone(self), name.to_owned(), Handle::current());
            // Hashing and sealing cost processor time: a thread of its own, not an async worker.
            tokio::task::spawn_blocking(move || {
                let ended = runtime.block_on(node.scan(&manifest, connector, full));
                let finished = Some(node.now().to_string());
                node.scans.with(&name, |view| {
                    view.finished = finished;
                    match ended {
                        Ok(()) => view.state = "finished".to_owned(),
                        Err(error) => {
                            tracing::warn!(system = %name, %error, "the scan broke off");
                            view.state = "failed".to_owned();
                            view.error = Some(error.to_string());
                        }
                    }
                });
            });
        }
        self.scan_of(name).ok_or_else(|| NodeError::NotFound { what: format!("there is no scan of {name}") })
    }

    /// When a system was last scanned to the end, by the ledger.
    pub fn last_scan(&self, system: &str, full: bool) -> Option<Millis> {
        let key = (source(system, full), 0);
        let read = self.partitions.iter().map(|p| p.read().state.watermarks.get(&key).copied());
        read.min().flatten()
    }

    async fn scan(
        self: &Arc<Self>,
        manifest: &Manifest,
        connector: Arc<dyn Connector>,
        full: bool,
    ) -> Result<(), ScanError> {
        let started = match connector.now().await {
            Ok(at) => at.map_or_else(|| self.now(), Millis),
            Err(failure) => return Err(failure.into()),
        };
        let since = (!full).then(|| self.last_scan(&manifest.system, false)).flatten();
        for dataset in &manifest.datasets {
            for collection in &dataset.collections {
                let name = format!("{}.{}", dataset.fides_key, collection.name);
                let mut told = CollectionScanned { dataset: name.clone(), ..CollectionScanned::default() };
                match Collected::of(manifest, &name, collection) {
                    Err(why) => told.skipped = Some(why.to_owned()),
                    Ok(of) => {
                        let by = manifest.scan.as_ref().and_then(|s| s.by.as_ref());
                        let by = by.filter(|by| collection.field(by).is_some());
                        let since = since
                            .zip(by)
                            .map(|(at, column)| Since { column: column.clone(), from: at.plus(-OVERLAP).0 });
                        self.collection(manifest, &connector, &of, since, &mut told).await?;
                    }
                }
                self.scans.with(&manifest.system, |view| view.keep(told));
            }
        }
        self.remember_scan(&manifest.system, full, started).await?;
        Ok(())
    }

    async fn collection(
        self: &Arc<Self>,
        manifest: &Manifest,
        connector: &Arc<dyn Connector>,
        of: &Collected<'_>,
        since: Option<Since>,
        told: &mut CollectionScanned,
    ) -> Result<(), ScanError> {
        // What an incremental scan does not come by has not changed, and is no less there.
        let mut unseen = if since.is_none() { self.copies_at(of) } else { HashSet::new() };
        let feed = Feed { source: source(of.system, false), ..Feed::default() };
        let mut reading = Reading { dataset: of.dataset.to_owned(), after: None, limit: PAGE_ROWS, since };
        let mut next = read(connector, &reading).await?;
        loop {
            let page = next;
            reading.after.clone_from(&page.next);
            // The next page is read while this one is written.
            let ahead = reading.after.is_some().then(|| {
                let (connector, reading) = (Arc::clone(connector), reading.clone());
                tokio::spawn(async move { read(&connector, &reading).await })
            });
            self.take_page(of, &page, &feed, &mut unseen, told).await?;
            self.scans.with(of.system, |view| view.keep(told.clone()));
            if let Some(per_second) = manifest.limits.per_second {
                let ms = page.rows.len() as u64 * 1_000 / u64::from(per_second.max(1));
                tokio::time::sleep(Duration::from_millis(ms)).await;
            }
            let Some(ahead) = ahead else { break };
            next = ahead.await.map_err(|_| Failure::retry("internal", "reading broke off"))??;
        }
        told.gone = self.gone(connector, of, unseen).await?;
        Ok(())
    }

    async fn take_page(
        self: &Arc<Self>,
        of: &Collected<'_>,
        page: &Page,
        feed: &Feed,
        unseen: &mut HashSet<ItemId>,
        told: &mut CollectionScanned,
    ) -> Result<(), ScanError> {
        let context = self.intake_context();
        // A clock that runs ahead would have every row refused; what it says of a row is when it was seen at most.
        let ahead = context.newest_tick.plus(Millis::SKEW);
        let at = page.at.map_or_else(|| self.now(), Millis).min(ahead);
        let known = |id: ItemId, told: &Told<'_>| self.known(id, of, told);
        let mut scanned = self.desk.intake().scan(&page.rows, of, at, &known, feed, &context);
        let prepared = Prepared::of(std::mem::take(&mut scanned.accepted), None)?;
        for id in &scanned.seen {
            unseen.remove(id);
        }
        told.rows += page.rows.len() as u64 + page.nameless;
        told.without_key += page.nameless;
        told.known += scanned.known;
        told.without_subject += scanned.nobody;
        told.undated += scanned.undated;
        for (code, rows) in scanned.refused {
            *told.refused.entry(code.to_owned()).or_default() += rows;
        }
        told.recorded += self.append_events_of("scan", prepared).await?.accepted as u64;
        Ok(())
    }

    /// What is known of a row's item, and whether the row says anything new.
    fn known(&self, id: ItemId, of: &Collected<'_>, told: &Told<'_>) -> Known {
        let inner = self.partition_of(id.subject).read();
        let Some(lives) = inner.store.lives(id) else { return Known::Little };
        let Some(item) = lives.newest().map(|l| &l.item) else { return Known::Little };
        let mut here = item.copies.iter().filter(|c| *c.system == *of.system && *c.dataset == *of.dataset);
        let Some(copy) = here.next() else { return Known::Little };
        let earlier = told.start.is_some_and(|at| item.recorded.is_none_or(|known| at < known));
        let touched = told.last_activity.is_some_and(|at| item.touched.is_none_or(|known| at > known));
        let nothing_new = copy.is_live() && here.next().is_none() && !earlier && !touched;
        // Every event names a category, and no scan does.
        if !copy.categories.is_empty() {
            if nothing_new {
                return Known::Same;
            }
            let (categories, purposes) = (copy.categories.clone(), copy.purposes.clone());
            return Known::More { categories, purposes, jurisdiction: copy.jurisdiction.clone() };
        }
        let same = copy.purposes.iter().map(String::as_str).eq(of.purposes.iter().copied())
            && copy.jurisdiction.as_deref() == told.jurisdiction
            && copy.service == of.collection.service
            && copy.controller == of.collection.controller;
        if nothing_new && same { Known::Same } else { Known::Little }
    }

    /// Every item with a live copy in this collection.
    fn copies_at(&self, of: &Collected<'_>) -> HashSet<ItemId> {
        let mut found = HashSet::new();
        for partition in self.partitions.iter() {
            partition.read().store.each(&mut |lives, _| {
                let Some(life) = lives.newest() else { return };
                let here = |c: &&quietus_core::item::Copy| {
                    c.is_live() && *c.system == *of.system && *c.dataset == *of.dataset
                };
                if life.item.copies.iter().any(|c| here(&c)) {
                    found.insert(life.item.id);
                }
            });
        }
        found
    }

    /// Those that a read-back by key does not find are gone; how many that were.
    async fn gone(
        &self,
        connector: &Arc<dyn Connector>,
        of: &Collected<'_>,
        unseen: HashSet<ItemId>,
    ) -> Result<u64, ScanError> {
        // In order, so that the same scan writes the same records.
        let unseen: Vec<ItemId> = unseen.into_iter().collect::<BTreeSet<_>>().into_iter().collect();
        let mut gone = 0;
        for part in unseen.chunks(READ_BACK) {
            let targets: Vec<(ItemId, Target)> = part.iter().filter_map(|id| self.target(*id, of)).collect();
            let asked: Vec<Target> = targets.iter().map(|(_, t)| t.clone()).collect();
            let mut changes: BTreeMap<u32, Vec<Change>> = BTreeMap::new();
            for back in connector.verify(&asked).await {
                let of_id = targets.iter().find(|(_, t)| t.command == back.command).map(|(id, _)| *id);
                let (Some(id), Finding::Gone) = (of_id, &back.finding) else { continue };
                let at = back.at.unwrap_or_else(|| self.now().0);
                let partition = self.partition_of(id.subject).index();
                changes.entry(partition).or_default().push(Change {
                    subject: Some(id.subject.0.into()),
                    item: Some(id.item.0.into()),
                    system: Some(of.system.to_owned()),
                    dataset: Some(of.dataset.to_owned()),
                    origin: Origin::Scan as i32,
                    ..Change::new(ChangeKind::Gone, at)
                });
            }
            for (partition, rows) in changes {
                gone += rows.len() as u64;
                let changes = Changes { source: source(of.system, false), rows, ..Changes::default() };
                let offset = self.append(partition, vec![Record::Changes(changes)], None).await?;
                self.has_applied(partition, offset).await;
            }
        }
        Ok(gone)
    }

    /// What a read-back of the item's copy here would ask for.
    fn target(&self, id: ItemId, of: &Collected<'_>) -> Option<(ItemId, Target)> {
        let inner = self.partition_of(id.subject).read();
        let lives = inner.store.lives(id)?;
        let copies = &lives.newest()?.item.copies;
        let copy =
            copies.iter().find(|c| c.is_live() && *c.system == *of.system && *c.dataset == *of.dataset)?;
        let locator =
            self.keys.open_locator(&id.subject, &id.item, of.system, of.dataset, &copy.cell).ok()?;
        let target = Target {
            command: CommandId(id.item.0),
            attempt: 1,
            dataset: of.dataset.into(),
            locator,
            identities: Vec::new(),
            work: Work::Delete,
            answered_at: None,
        };
        Some((id, target))
    }

    /// The scan's own watermark, and everything it wrote is in the state.
    async fn remember_scan(&self, system: &str, full: bool, at: Millis) -> Result<(), NodeError> {
        let mut offsets = Vec::new();
        for partition in self.partitions.iter() {
            let mark = |full: bool| {
                Record::SourceAt(SourceAt {
                    source: source(system, full),
                    source_generation: 0,
                    position: String::new(),
                    time: at.0,
                })
            };
            let marks = if full { vec![mark(false), mark(true)] } else { vec![mark(false)] };
            offsets.push((partition.index(), self.append(partition.index(), marks, None).await?));
        }
        for (partition, offset) in offsets {
            self.has_applied(partition, offset).await;
        }
        Ok(())
    }
}

impl ScanView {
    /// The newest figures of a collection.
    fn keep(&mut self, told: CollectionScanned) {
        match self.collections.iter_mut().find(|c| c.dataset == told.dataset) {
            Some(known) => *known = told,
            None => self.collections.push(told),
        }
        self.rows = self.collections.iter().map(|c| c.rows).sum();
        self.recorded = self.collections.iter().map(|c| c.recorded).sum();
    }
}

/// What a scan calls itself in the ledger.
fn source(system: &str, full: bool) -> String {
    if full { format!("scan:{system}:full") } else { format!("scan:{system}") }
}

async fn read(connector: &Arc<dyn Connector>, reading: &Reading) -> Result<Page, Failure> {
    let mut wait = BACK_OFF;
    for tried in 1.. {
        match connector.scan(reading).await {
            Err(failure) if failure.may_retry && tried < TRIES => {
                tokio::time::sleep(wait).await;
                wait *= 2;
            }
            answer => return answer,
        }
    }
    Err(Failure::retry("internal", "no page was read"))
}

#[derive(Debug, thiserror::Error)]
enum ScanError {
    #[error(transparent)]
    Node(#[from] NodeError),
    #[error(transparent)]
    System(#[from] Failure),
}
