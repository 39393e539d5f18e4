//! What the control log adds up to: the active policy, the systems, the holds, the stop switch.
//!
//! Every partition folds the same log in the same order and knows its own position `k`; the control plane folds it
//! too, to answer people. One reducer serves both.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::engine::derived::Derivations;
use crate::hold::{Hold, Scope};
use crate::identity::SubjectKey;
use crate::item::{Copy, Item};
use crate::obligation::Duty;
use crate::policy::{self, Calendar, Policy};
use crate::record::Record;
use crate::source;
use crate::system::{Manifest, Mode};
use crate::time::Millis;

/// The control log up to `k`.
#[derive(Clone, Debug, Default)]
pub struct Control {
    pub k: u64,
    pub policy: Option<Arc<ActivePolicy>>,
    /// Every policy that was published, by version.
    pub versions: BTreeMap<u64, Arc<ActivePolicy>>,
    /// Stored by name, not necessarily active: name → document.
    pub stored: BTreeMap<String, String>,
    /// Who stored what stands there; None = nobody was named.
    pub stored_by: BTreeMap<String, Option<String>>,
    pub systems: BTreeMap<String, Arc<System>>,
    pub derivations: Derivations,
    pub sources: BTreeMap<String, Source>,
    pub holds: BTreeMap<String, Hold>,
    pub stopped: bool,
    /// Sweeps in the order they were ordered: id → what was asked and how it ended.
    pub sweeps: BTreeMap<String, SweepInfo>,
    /// Identities of one person, as far as this partition knows; the control log itself knows of none.
    pub links: BTreeMap<SubjectKey, BTreeSet<SubjectKey>>,
    /// How many identities one person may have before somebody must look.
    pub link_limit: Option<u32>,
    pub reapplies: BTreeMap<String, Reapply>,
    /// Others are told what is decided.
    pub tells_news: bool,
    pub clock_accepted: Option<Millis>,
    /// What was gone before this is known no longer.
    pub evidence_ended: Option<Millis>,
    /// Entries that could not be read; they change nothing.
    pub unreadable: u64,
}

#[derive(Debug)]
pub struct ActivePolicy {
    pub version: u64,
    pub policy: Policy,
    pub calendar: Calendar,
    pub document: String,
    pub published: Millis,
}

#[derive(Clone, Debug)]
pub struct System {
    pub manifest: Manifest,
    /// The manifest as it stands in the ledger.
    pub document: String,
    /// `dataset.collection` → every category its fields carry. Sorted.
    pub categories: BTreeMap<String, Vec<String>>,
    /// `dataset.collection` → categories that only key, subject and reference columns carry: what tells records
    /// apart, and cannot go without the record.
    pub identifying: BTreeMap<String, BTreeSet<String>>,
}

impl System {
    fn new(manifest: Manifest, document: String) -> Self {
        let collections = manifest.datasets.iter().flat_map(|d| d.collections.iter().map(move |c| (d, c)));
        let (mut categories, mut identifying) = (BTreeMap::new(), BTreeMap::new());
        for (dataset, collection) in collections {
            let name = format!("{}.{}", dataset.fides_key, collection.name);
            let leaves = collection.leaves();
            let carried = |identifies: bool| -> BTreeSet<String> {
                let fields = leaves.iter().filter(|(path, _)| collection.tells_apart(path) == identifies);
                fields.flat_map(|(_, field)| field.categories.iter().cloned()).collect()
            };
            let (telling, rest) = (carried(true), carried(false));
            categories.insert(name.clone(), telling.union(&rest).cloned().collect());
            identifying.insert(name, telling.difference(&rest).cloned().collect());
        }
        Self { manifest, document, categories, identifying }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct Source {
    /// None = retired.
    pub document: Option<String>,
    pub generation: i32,
    pub parsed: Option<Arc<source::Source>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SweepInfo {
    pub id: String,
    pub k: u64,
    pub ordered: Millis,
    pub as_of: Millis,
    pub by: Option<String>,
    /// `finished`, `stopped`, `failed` with the report as JSON; None = running, or waiting.
    pub closed: Option<(String, String)>,
    /// What waits for a second person; None = it was ordered.
    pub waits: Option<Waits>,
    /// Keyed hash of what was asked.
    pub asked: Option<Vec<u8>>,
}

/// A plan that may be approved as it is, or not at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waits {
    pub forecast: u64,
    /// Merkle root of the frozen set.
    pub root: Vec<u8>,
    /// The plan as a report, JSON.
    pub report: String,
}

impl SweepInfo {
    pub fn is_waiting(&self) -> bool {
        self.closed.is_none() && self.waits.is_some()
    }
}

/// Erasures again after a restore.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reapply {
    pub id: String,
    pub k: u64,
    pub since: Millis,
    /// None = every system.
    pub system: Option<String>,
    /// The system was restored to the state of `since`.
    pub restored: bool,
    pub ordered: Millis,
}

impl Control {
    /// Folds entry `k` in; entries come in order, each once.
    pub fn apply(&mut self, k: u64, record: &Record) {
        self.k = k;
        match record {
            Record::PolicyStored(r) => {
                self.stored.insert(r.name.clone(), r.document.clone());
                self.stored_by.insert(r.name.clone(), r.by.clone());
            }
            Record::PolicyPublished(r) => match compile(&r.name, &r.document) {
                Some((policy, calendar)) => {
                    self.stored.insert(r.name.clone(), r.document.clone());
                    let active = Arc::new(ActivePolicy {
                        version: u64::try_from(r.version).unwrap_or_default(),
                        policy,
                        calendar,
                        document: r.document.clone(),
                        published: Millis(r.at),
                    });
                    self.versions.insert(active.version, Arc::clone(&active));
                    self.policy = Some(active);
                }
                None => self.unreadable += 1,
            },
            Record::SystemPut(r) => match serde_json::from_str::<Manifest>(&r.manifest) {
                Ok(manifest) => {
                    let system = System::new(manifest, r.manifest.clone());
                    self.systems.insert(r.name.clone(), Arc::new(system));
                    self.derivations = Derivations::of(&self.systems);
                }
                Err(_) => self.unreadable += 1,
            },
            Record::SystemMode(r) => {
                let mode = match r.mode.as_str() {
                    "enforce" => Some(Mode::Enforce),
                    "observe" => Some(Mode::Observe),
                    _ => None,
                };
                match (self.systems.get_mut(&r.name), mode) {
                    (Some(system), Some(mode)) => Arc::make_mut(system).manifest.mode = mode,
                    _ => self.unreadable += 1,
                }
            }
            Record::SystemRetired(r) => {
                self.systems.remove(&r.name);
                self.derivations = Derivations::of(&self.systems);
            }
            Record::SourcePut(r) => {
                let parsed = r.document.as_deref().map(source::Source::from_canonical);
                self.unreadable += u64::from(parsed == Some(None));
                let source = Source {
                    document: r.document.clone(),
                    generation: r.generation,
                    parsed: parsed.flatten().map(Arc::new),
                };
                self.sources.insert(r.name.clone(), source);
            }
            Record::HoldPlaced(r) => match serde_json::from_str::<Scope>(&r.scope) {
                Ok(scope) => {
                    let hold = Hold {
                        id: r.id.clone(),
                        matter: r.matter.clone(),
                        authority: r.authority.clone(),
                        reference: r.reference.clone(),
                        owner: r.owner.clone(),
                        reason: r.reason.clone(),
                        scope,
                        review: r.review.clone(),
                        confidential: r.confidential,
                        allow: r.allow.clone(),
                        by: r.by.clone(),
                        placed: Millis(r.at),
                        k,
                        effective: None,
                        released: None,
                        covered_items: 0,
                        covered_copies: 0,
                        asked: r.asked.clone(),
                    };
                    // Placed twice, it stands as it was placed first.
                    self.holds.entry(r.id.clone()).or_insert(hold);
                }
                Err(_) => self.unreadable += 1,
            },
            Record::HoldReleased(r) => {
                if let Some(hold) = self.holds.get_mut(&r.id) {
                    hold.released = hold.released.or(Some(Millis(r.at)));
                }
            }
            Record::HoldEffective(r) => {
                if let Some(hold) = self.holds.get_mut(&r.id) {
                    hold.effective = hold.effective.or(Some(Millis(r.at)));
                    hold.covered_items = u64::try_from(r.covered_items).unwrap_or_default();
                    hold.covered_copies = u64::try_from(r.covered_copies).unwrap_or_default();
                }
            }
            Record::SweepOrdered(r) => {
                let waited = self.sweeps.get(&r.id).and_then(|s| s.asked.clone());
                let sweep = SweepInfo {
                    id: r.id.clone(),
                    k,
                    ordered: Millis(r.at),
                    as_of: Millis(r.as_of),
                    by: r.by.clone(),
                    closed: None,
                    waits: None,
                    asked: r.asked.clone().or(waited),
                };
                self.sweeps.insert(r.id.clone(), sweep);
            }
            Record::SweepAwaiting(r) => {
                // One at a time: an older plan is stale once there is a newer one.
                for sweep in self.sweeps.values_mut().filter(|s| s.is_waiting()) {
                    let report = sweep.waits.as_ref().map(|w| w.report.clone()).unwrap_or_default();
                    sweep.closed = Some(("stopped".to_owned(), report));
                }
                let waits = Waits {
                    forecast: u64::try_from(r.forecast).unwrap_or_default(),
                    root: r.root.clone(),
                    report: r.report.clone(),
                };
                let sweep = SweepInfo {
                    id: r.id.clone(),
                    k,
                    ordered: Millis(r.at),
                    as_of: Millis(r.as_of),
                    by: r.by.clone(),
                    closed: None,
                    waits: Some(waits),
                    asked: r.asked.clone(),
                };
                self.sweeps.insert(r.id.clone(), sweep);
            }
            Record::SweepClosed(r) => {
                if let Some(sweep) = self.sweeps.get_mut(&r.id) {
                    sweep.closed = Some((r.state.clone(), r.report.clone()));
                }
            }
            Record::SweepSwitch(r) => self.stopped = r.stopped,
            Record::ClockAccepted(r) => self.clock_accepted = Some(Millis(r.now)),
            Record::ReapplyOrdered(r) => {
                let reapply = Reapply {
                    id: r.id.clone(),
                    k,
                    since: Millis(r.since),
                    system: r.system.clone(),
                    restored: r.restored,
                    ordered: Millis(r.at),
                };
                self.reapplies.insert(r.id.clone(), reapply);
            }
            Record::EvidenceEnded(r) => self.evidence_ended = self.evidence_ended.max(Some(Millis(r.before))),
            Record::NewsSwitch(r) => self.tells_news = r.on,
            Record::LinkLimit(r) => self.link_limit = u32::try_from(r.max).ok(),
            // What an owner acknowledges is for the control plane's barrier, not for the state.
            Record::Acknowledged(_) => {}
            Record::OwnerStarted(_)
            | Record::Tick(_)
            | Record::SourceAt(_)
            | Record::ControlCopy(_)
            | Record::Facts(_)
            | Record::Changes(_)
            | Record::DeadLettered(_)
            | Record::DeadLetterClosed(_)
            | Record::Ordered(_)
            | Record::Confirmed(_)
            | Record::ReadBack(_)
            | Record::RequestReceived(_)
            | Record::RequestMoved(_)
            | Record::Delivered(_)
            | Record::NewsTold(_)
            | Record::Forwarded(_) => self.unreadable += 1,
        }
    }

    /// Ids of the holds in force that cover this category of this copy. Sorted.
    pub fn holds_on(&self, item: &Item, copy: &Copy, category: &str) -> Vec<String> {
        let covers = |h: &&Hold| h.blocks() && h.scope.covers(item, copy, category);
        self.holds.values().filter(covers).map(|h| h.id.clone()).collect()
    }

    /// The same against one kind of work: a correction is let through where the hold allows it.
    pub fn holds_against(&self, duty: Duty, item: &Item, copy: &Copy, category: &str) -> Vec<String> {
        let mut holds = self.holds_on(item, copy, category);
        if duty == Duty::Correct {
            let allows = |id: &String| self.holds.get(id).is_some_and(|h| h.allows_correction(category));
            holds.retain(|id| !allows(id));
        }
        holds
    }

    /// False = nothing of this person's is covered, whatever it is: asked before an item is looked up.
    pub fn may_concern(&self, scope: &Scope, subject: &SubjectKey) -> bool {
        let linked = self.links.get(subject).into_iter().flatten();
        scope.may_concern(std::iter::once(subject).chain(linked))
    }

    /// Some date depends on the activity of all of a person's items.
    pub fn asks_of_persons(&self) -> bool {
        self.policy.as_ref().is_some_and(|active| active.policy.asks_of_persons())
    }

    pub fn knows_people_only(&self, system: &str) -> bool {
        self.systems.get(system).is_some_and(|s| s.manifest.knows_people_only())
    }

    /// The system is to keep what a statutory minimum asks for.
    pub fn retains(&self, system: &str) -> bool {
        self.systems.get(system).is_some_and(|s| s.manifest.retains)
    }

    /// Nothing but columns that tell records apart carries this category there.
    pub fn only_identifies(&self, system: &str, dataset: &str, category: &str) -> bool {
        let known = self.systems.get(system).and_then(|s| s.identifying.get(dataset));
        known.is_some_and(|categories| categories.contains(category))
    }

    /// Inside one of the system's windows, in the policy's zone; without windows always.
    pub fn is_open(&self, system: &str, now: Millis) -> bool {
        let windows = self.systems.get(system).map(|s| s.manifest.windows.as_slice()).unwrap_or_default();
        let Some(active) = self.policy.as_ref().filter(|_| !windows.is_empty()) else { return true };
        windows.iter().any(|window| window.is_open(active.calendar.zone(), now))
    }

    /// Fifty, unless the configuration says otherwise.
    pub fn max_linked(&self) -> u32 {
        self.link_limit.unwrap_or(50)
    }

    pub fn mode(&self, system: &str) -> Mode {
        self.systems.get(system).map(|s| s.manifest.mode).unwrap_or_default()
    }
}

/// Reads a published document again. It was checked before it was published; a later version of the program may
/// still refuse it, and then the policy before stays in force.
fn compile(name: &str, document: &str) -> Option<(Policy, Calendar)> {
    let (policy, _) = policy::parse(name, document.as_bytes(), policy::Taxonomy::bundled());
    let policy = policy?;
    let calendar = Calendar::new(&policy).ok()?;
    Some((policy, calendar))
}
