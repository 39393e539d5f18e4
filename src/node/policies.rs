//! Storing and publishing policies. What is published was checked; what is wrong says where and how to mend it.

use quietus_core::document::{Diagnostic, Diagnostics, Severity};
use quietus_core::policy::{self, Calendar, Policy, Taxonomy};
use quietus_core::record::{PolicyPublished, PolicyStored, Record};

use super::{Node, NodeError};

/// A policy as it was checked.
#[derive(Debug)]
pub struct Checked {
    pub policy: Option<Policy>,
    pub diagnostics: Vec<Diagnostic>,
}

impl Checked {
    pub fn is_refused(&self) -> bool {
        self.policy.is_none() || self.diagnostics.iter().any(|d| d.severity == Severity::Error)
    }
}

/// Reads and checks a policy, offline.
pub fn check(file: &str, bytes: &[u8]) -> Checked {
    check_over(file, bytes, |_| None)
}

/// As [`check`], over the pairs that datasets use: what none of them comes upon is a warning, what no rule covers
/// is named. They are read once the policy's own categories are known.
pub fn check_over(
    file: &str,
    bytes: &[u8],
    used: impl FnOnce(&Policy) -> Option<Vec<policy::Used>>,
) -> Checked {
    let (policy, mut diagnostics) = policy::parse(file, bytes, Taxonomy::bundled());
    if let Some(policy) = &policy {
        diagnostics.extend(policy::check::check(file, policy, used(policy).as_deref()));
        if let Err(why) = Calendar::new(policy) {
            let mut found = Diagnostics::new(file);
            found.error((1, 1), why, "name an IANA time zone such as Europe/Berlin");
            diagnostics.extend(found.into_vec());
        }
    }
    Checked { policy, diagnostics }
}

impl Node {
    /// Stores a policy under its name; nothing changes until it is published. Warnings come back.
    pub async fn store_policy(
        &self,
        file: &str,
        bytes: &[u8],
        by: Option<String>,
    ) -> Result<(Policy, Vec<Diagnostic>), Refusal> {
        let checked = check(file, bytes);
        if checked.is_refused() {
            return Err(Refusal::Wrong(checked.diagnostics));
        }
        let Some(policy) = checked.policy else { return Err(Refusal::Wrong(checked.diagnostics)) };
        let document = String::from_utf8_lossy(bytes).into_owned();
        if self.with_control(|c| c.stored.get(&policy.name) != Some(&document)) {
            let record = PolicyStored { name: policy.name.clone(), document, by, at: self.clock.now().0 };
            self.decree(Record::PolicyStored(record)).await?;
        }
        Ok((policy, checked.diagnostics))
    }

    /// Makes a stored policy the active one. Answers its version; publishing what is active already changes nothing.
    pub async fn publish_policy(&self, name: &str, by: Option<String>) -> Result<u64, Refusal> {
        let (document, active) = self.with_control(|c| (c.stored.get(name).cloned(), c.policy.clone()));
        let Some(document) = document else {
            return Err(NodeError::NotFound { what: format!("there is no policy {name}") }.into());
        };
        if let Some(active) = &active {
            if active.policy.name != name {
                return Err(NodeError::Conflict {
                    code: "other-policy",
                    what: format!("this ledger's policy is {}", active.policy.name),
                    fix: "one policy is active per ledger: publish under that name".to_owned(),
                }
                .into());
            }
            if active.document == document {
                return Ok(active.version);
            }
        }
        let checked = check(name, document.as_bytes());
        let Some(policy) =
            checked.policy.filter(|_| !checked.diagnostics.iter().any(|d| d.severity == Severity::Error))
        else {
            return Err(Refusal::Wrong(checked.diagnostics));
        };
        if let Some(active) = &active {
            refuse_shorter_locks(&active.policy, &policy)?;
        }
        let version = active.map_or(1, |a| a.version + 1);
        let record = PolicyPublished {
            name: name.to_owned(),
            version: i64::try_from(version).unwrap_or(i64::MAX),
            document,
            by,
            approved_by: None,
            at: self.clock.now().0,
        };
        self.decree(Record::PolicyPublished(record)).await?;
        Ok(version)
    }
}

/// A locked rule is only lengthened; a shorter one needs a second person and a changed `law`.
fn refuse_shorter_locks(active: &Policy, new: &Policy) -> Result<(), NodeError> {
    match policy::unlocked(active, new).first() {
        None => Ok(()),
        Some(first) => Err(NodeError::Conflict {
            code: "locked-rule",
            what: format!(
                "rule {} is locked and would be {}",
                first.rule,
                format!("{:?}", first.how).to_lowercase()
            ),
            fix: "leave it as it is or lengthen it; less needs a second person and a changed `law`"
                .to_owned(),
        }),
    }
}

/// Why a document was not taken.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    #[error("{} problems", .0.len())]
    Wrong(Vec<Diagnostic>),
    #[error(transparent)]
    Node(#[from] NodeError),
}
