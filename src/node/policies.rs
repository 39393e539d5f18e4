//! Storing and publishing policies. What is published was checked; what is wrong says where and how to mend it.

use std::sync::Arc;

use quietus_core::document::{Diagnostic, Diagnostics, Severity};
use quietus_core::engine::control::ActivePolicy;
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
        match self.next_policy(name)? {
            Next::Active(version) => Ok(version),
            Next::Ready(next) => {
                refuse_shorter_locks(&next)?;
                self.put_in_force(*next, by, None).await
            }
        }
    }

    /// As a second person: makes a stored policy the active one although it shortens locked rules, whose `law` it
    /// must have changed.
    pub async fn approve_policy(&self, name: &str, by: Option<String>) -> Result<u64, Refusal> {
        let next = match self.next_policy(name)? {
            Next::Active(_) => return Err(nothing_to_approve(name).into()),
            Next::Ready(next) => next,
        };
        let shorter = next.shorter();
        if shorter.is_empty() {
            return Err(nothing_to_approve(name).into());
        }
        if let Some(rule) = shorter.iter().find(|u| !u.law_changed) {
            return Err(NodeError::Conflict {
                code: "law-unchanged",
                what: format!(
                    "rule {} is locked, would be {}, and its `law` is as it was",
                    rule.rule,
                    how(rule)
                ),
                fix: "keep the rule's id and name the law that allows it".to_owned(),
            }
            .into());
        }
        let author = self.with_control(|c| c.stored_by.get(name).cloned().flatten());
        if by.is_none() || author.is_none() {
            return Err(NodeError::Conflict {
                code: "persons-unknown",
                what: "nobody can tell who stored this policy from who approves it".to_owned(),
                fix: "configure `tokens`, one a person, and store the policy anew with one of them"
                    .to_owned(),
            }
            .into());
        }
        if by == author {
            return Err(NodeError::Conflict {
                code: "second-person",
                what: "a policy that shortens locked rules is approved by somebody else than who stored it"
                    .to_owned(),
                fix: "let a second person approve it".to_owned(),
            }
            .into());
        }
        self.put_in_force(*next, author, by).await
    }

    /// What publishing this name would put in force.
    fn next_policy(&self, name: &str) -> Result<Next, Refusal> {
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
                return Ok(Next::Active(active.version));
            }
        }
        let checked = check(name, document.as_bytes());
        if checked.is_refused() {
            return Err(Refusal::Wrong(checked.diagnostics));
        }
        let Some(policy) = checked.policy else { return Err(Refusal::Wrong(checked.diagnostics)) };
        Ok(Next::Ready(Box::new(Ready { policy, document, active })))
    }

    async fn put_in_force(
        &self,
        next: Ready,
        by: Option<String>,
        approved_by: Option<String>,
    ) -> Result<u64, Refusal> {
        let version = next.active.map_or(1, |a| a.version + 1);
        let record = PolicyPublished {
            name: next.policy.name,
            version: i64::try_from(version).unwrap_or(i64::MAX),
            document: next.document,
            by,
            approved_by,
            at: self.clock.now().0,
        };
        self.decree(Record::PolicyPublished(record)).await?;
        Ok(version)
    }
}

enum Next {
    /// It is in force already, under this version.
    Active(u64),
    Ready(Box<Ready>),
}

struct Ready {
    policy: Policy,
    document: String,
    active: Option<Arc<ActivePolicy>>,
}

impl Ready {
    /// Locked rules in force that it does not honour.
    fn shorter(&self) -> Vec<policy::Unlocked> {
        self.active.as_ref().map(|a| policy::unlocked(&a.policy, &self.policy)).unwrap_or_default()
    }
}

fn nothing_to_approve(name: &str) -> NodeError {
    NodeError::Conflict {
        code: "nothing-to-approve",
        what: format!("policy {name} shortens no locked rule"),
        fix: "publish it: `quietus policy publish FILE`".to_owned(),
    }
}

fn how(unlocked: &policy::Unlocked) -> String {
    format!("{:?}", unlocked.how).to_lowercase()
}

/// A locked rule is only lengthened; a shorter one needs a second person and a changed `law`.
fn refuse_shorter_locks(next: &Ready) -> Result<(), NodeError> {
    match next.shorter().first() {
        None => Ok(()),
        Some(first) => Err(NodeError::Conflict {
            code: "locked-rule",
            what: format!("rule {} is locked and would be {}", first.rule, how(first)),
            fix: "leave it as it is or lengthen it; less needs a changed `law` and a second person: `quietus policy approve FILE`"
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
