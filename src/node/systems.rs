//! Registering systems: from a manifest to a connector that may act.

use std::collections::BTreeMap;

use quietus_contract::{CheckReport, Connector, Problem};
use quietus_core::document::{Diagnostic, Severity};
use quietus_core::policy::Taxonomy;
use quietus_core::record::{Record, SystemMode, SystemPut, SystemRetired};
use quietus_core::system::{self, Manifest, Mode};

use super::policies::Refusal;
use super::reapplies::still_closed;
use super::{Node, NodeError};

/// Loads what a manifest names by relative path.
pub type Load<'a> = &'a (dyn Fn(&str) -> Result<Vec<u8>, String> + Sync);

/// What registering did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Put {
    Created,
    Changed,
    Unchanged,
}

impl Node {
    /// Registers a system, or replaces the one of that name; an absent `mode` keeps the present one.
    pub async fn put_system(
        &self,
        file: &str,
        bytes: &[u8],
        load: Load<'_>,
        by: Option<String>,
    ) -> Result<(Manifest, Put, Vec<Diagnostic>), Refusal> {
        let (active, systems) = self.with_control(|c| (c.policy.clone(), c.systems.clone()));
        let own = |key: &str| active.as_ref().is_some_and(|a| a.policy.categories.contains_key(key));
        let is_category = |key: &str| Taxonomy::bundled().is_category(key) || own(key);
        let (manifest, mut diagnostics) = system::parse_manifest(file, bytes, load, &is_category);
        let Some(mut manifest) = manifest.filter(|_| !wrong(&diagnostics)) else {
            return Err(Refusal::Wrong(diagnostics));
        };
        let known = systems.get(&manifest.system);
        if !says_mode(bytes)
            && let Some(known) = known
        {
            manifest.mode = known.manifest.mode;
        }
        let mut all: BTreeMap<String, Manifest> =
            systems.iter().map(|(name, s)| (name.clone(), s.manifest.clone())).collect();
        all.insert(manifest.system.clone(), manifest.clone());
        diagnostics.extend(system::check_systems(&all));
        if wrong(&diagnostics) {
            return Err(Refusal::Wrong(diagnostics));
        }
        if manifest.mode == Mode::Observe {
            self.may_be_used(&manifest.system)?;
        }
        let document = serde_json::to_string(&manifest).unwrap_or_default();
        let put = match known {
            None => Put::Created,
            Some(known) if known.manifest == manifest => Put::Unchanged,
            Some(_) => Put::Changed,
        };
        if put != Put::Unchanged {
            let record =
                SystemPut { name: manifest.system.clone(), manifest: document, by, at: self.clock.now().0 };
            self.decree(Record::SystemPut(record)).await?;
        }
        Ok((manifest, put, diagnostics))
    }

    pub fn system(&self, name: &str) -> Result<Manifest, NodeError> {
        let manifest = self.with_control(|c| c.systems.get(name).map(|s| s.manifest.clone()));
        manifest.ok_or_else(|| NodeError::NotFound { what: format!("there is no system {name}") })
    }

    /// `enforce` deletes, `observe` counts.
    pub async fn set_mode(&self, name: &str, mode: Mode, by: Option<String>) -> Result<(), NodeError> {
        if self.system(name)?.mode == mode {
            return Ok(());
        }
        if mode == Mode::Observe {
            self.may_be_used(name)?;
        }
        let word = match mode {
            Mode::Enforce => "enforce",
            Mode::Observe => "observe",
        };
        let record = SystemMode { name: name.to_owned(), mode: word.to_owned(), by, at: self.clock.now().0 };
        self.decree(Record::SystemMode(record)).await?;
        Ok(())
    }

    /// Reach, rights, schema, indexes, clock: what would make a command fail.
    pub async fn check_system(&self, name: &str) -> Result<CheckReport, NodeError> {
        self.system(name)?;
        let mut report = match self.registry().connector(name) {
            Some(Ok(connector)) => {
                let mut report = connector.check().await;
                report.problems.extend(self.skew(name, &*connector).await);
                report
            }
            Some(Err(failure)) => CheckReport {
                problems: vec![Problem {
                    fatal: true,
                    code: "unreachable",
                    place: name.to_owned(),
                    detail: failure.detail,
                    fix: "mend `connection` in its manifest and register it again".to_owned(),
                }],
            },
            None => return Err(NodeError::NotFound { what: format!("system {name} is not connected yet") }),
        };
        let closed = self.closed(name).map(|(reapply, far)| Problem {
            fatal: true,
            code: "restored",
            place: name.to_owned(),
            detail: still_closed(name, &reapply, &far),
            fix: "keep it closed until they are".to_owned(),
        });
        report.problems.extend(closed);
        Ok(report)
    }

    /// A target's own clock ends the permits there: it must be near this node's. A simulated clock is near nobody's.
    async fn skew(&self, name: &str, connector: &dyn Connector) -> Option<Problem> {
        if self.options.simulated {
            return None;
        }
        let before = self.clock.now();
        let theirs = connector.now().await.ok()??;
        let apart = apart(before.0, theirs, self.clock.now().0);
        (apart > MAX_SKEW_MS).then(|| Problem {
            fatal: true,
            code: "clock_skew",
            place: name.to_owned(),
            detail: format!("its clock is {apart} ms away from this node's"),
            fix: "synchronise both clocks (NTP)".to_owned(),
        })
    }

    /// A callback, believed in nothing but that there is news: it makes us ask. False = nobody known signed it.
    pub fn called_back(&self, name: &str, headers: &BTreeMap<String, String>, body: &[u8]) -> bool {
        let known = self.registry().connector(name).and_then(Result::ok);
        let is_signed = known.is_some_and(|connector| connector.is_signed(headers, body));
        if let Some(dispatcher) = self.registry().dispatcher(name).filter(|_| is_signed) {
            dispatcher.ask_now();
        }
        is_signed
    }

    /// Takes a system off the books; refused while something is open there.
    pub async fn retire_system(&self, name: &str, by: Option<String>) -> Result<(), NodeError> {
        self.system(name)?;
        self.may_be_used(name)?;
        let open = self.open_at(name);
        if !open.is_empty() {
            let all: u64 = open.values().sum();
            let each: Vec<String> = open.iter().map(|(stand, count)| format!("{count} {stand}")).collect();
            return Err(NodeError::Conflict {
                code: "system-open",
                what: format!("{all} duties are open at {name}: {}", each.join(", ")),
                fix: "let them finish, or take its copies away with `quietus.item.gone.v1`".to_owned(),
            });
        }
        let record = SystemRetired { name: name.to_owned(), by, at: self.clock.now().0 };
        self.decree(Record::SystemRetired(record)).await?;
        Ok(())
    }

    /// Where the open duties of a system stand → how many.
    fn open_at(&self, system: &str) -> BTreeMap<&'static str, u64> {
        use quietus_core::obligation::Stand;
        let closed = |s: Stand| s.is_gone() || s == Stand::Withdrawn;
        let mut open = BTreeMap::new();
        for partition in self.partitions.iter() {
            let inner = partition.read();
            let mine =
                inner.state.duties.tallies().filter(|(at, stand, _)| ***at == *system && !closed(*stand));
            for (_, stand, count) in mine {
                *open.entry(crate::partition::outcome_name(stand)).or_default() += count;
            }
        }
        open
    }
}

const MAX_SKEW_MS: i64 = 1_000;

/// How far their clock is outside the while in which it was read.
fn apart(before: i64, theirs: i64, after: i64) -> i64 {
    before.saturating_sub(theirs).max(theirs.saturating_sub(after)).max(0)
}

fn wrong(diagnostics: &[Diagnostic]) -> bool {
    diagnostics.iter().any(|d| d.severity == Severity::Error)
}

/// The file says a mode itself.
fn says_mode(bytes: &[u8]) -> bool {
    let documents = quietus_core::document::read("", bytes).unwrap_or_default();
    documents.first().is_some_and(|node| match &node.value {
        quietus_core::document::Value::Map(entries) => entries.iter().any(|(key, _)| key.text == "mode"),
        _ => false,
    })
}

#[cfg(test)]
mod tests {
    use super::apart;

    #[test]
    fn only_what_lies_outside_the_reading_is_skew() {
        assert_eq!(apart(1_000, 1_400, 1_500), 0);
        assert_eq!(apart(1_000, 900, 1_500), 100);
        assert_eq!(apart(1_000, 3_600, 1_500), 2_100);
    }
}
