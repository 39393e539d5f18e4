//! What a connector is told about one record.

use std::collections::BTreeMap;
use std::fmt;

use data_encoding::HEXLOWER;
use quietus_contract::{CommandId, Permit, Scalar, Target, Work};
use quietus_core::verdict::Action;
use serde::{Deserialize, Serialize};

/// `schemas/avro/Command`; the same fields as JSON over HTTP.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Command {
    pub id: String,
    pub attempt: i32,
    pub system: String,
    pub action: String,
    pub dataset: String,
    pub locator: BTreeMap<String, String>,
    pub identities: Vec<Identity>,
    pub categories: Vec<String>,
    pub values: BTreeMap<String, Option<String>>,
    pub not_after: i64,
    pub issued_at: i64,
    pub policy_version: i64,
    pub control_k: i64,
    pub plan_hash: String,
}

/// One of the subject's.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    #[serde(rename = "type")]
    pub kind: String,
    pub value: String,
}

/// Identities and values stay out of it.
impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, attempt, system, action, .. } = self;
        write!(f, "Command({id}, attempt {attempt}, {action} at {system})")
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:•••", self.kind)
    }
}

/// The permit as it travels, and as a reference keeps it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Terms {
    pub(crate) not_after: i64,
    pub(crate) policy_version: i64,
    pub(crate) control_k: i64,
    pub(crate) plan_hash: String,
}

impl Terms {
    pub(crate) fn of(permit: &Permit, now: i64) -> Self {
        let whole = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
        let lease = i64::try_from(permit.lease().as_millis()).unwrap_or(i64::MAX);
        Self {
            not_after: now.saturating_add(lease),
            policy_version: whole(permit.policy_version()),
            control_k: whole(permit.control_k()),
            plan_hash: HEXLOWER.encode(permit.plan_hash()),
        }
    }

    /// What is kept of a command that was handed over: enough to say the same again.
    pub(crate) fn reference(&self) -> String {
        format!("{}:{}:{}:{}", self.not_after, self.policy_version, self.control_k, self.plan_hash)
    }

    pub(crate) fn read(reference: &str) -> Option<Self> {
        let mut parts = reference.splitn(4, ':');
        let mut number = || parts.next()?.parse().ok();
        let (not_after, policy_version, control_k) = (number()?, number()?, number()?);
        Some(Self { not_after, policy_version, control_k, plan_hash: parts.next()?.to_owned() })
    }
}

impl Command {
    pub(crate) fn of(system: &str, target: &Target, terms: &Terms, now: i64) -> Self {
        let identity = |i: &quietus_contract::Identity| Identity {
            kind: i.kind.clone(),
            value: i.value.reveal().into(),
        };
        let mut command = Self {
            id: shown(target.command),
            attempt: i32::try_from(target.attempt).unwrap_or(i32::MAX),
            system: system.to_owned(),
            dataset: target.dataset.to_string(),
            locator: target.locator.iter().map(|(column, value)| (column.clone(), text(value))).collect(),
            identities: target.identities.iter().map(identity).collect(),
            not_after: terms.not_after,
            issued_at: now,
            policy_version: terms.policy_version,
            control_k: terms.control_k,
            plan_hash: terms.plan_hash.clone(),
            ..Self::default()
        };
        match &target.work {
            Work::Delete => "erase".clone_into(&mut command.action),
            Work::Change { action, categories } => {
                word(*action).clone_into(&mut command.action);
                command.categories.clone_from(categories);
            }
            Work::Correct(changes) => {
                "correct".clone_into(&mut command.action);
                let value = |c: &quietus_contract::Change| c.value.as_ref().map(|v| v.reveal().to_owned());
                command.values = changes.iter().map(|c| (c.category.clone(), value(c))).collect();
            }
        }
        command
    }

    /// The same as something else to do: `recall`.
    pub(crate) fn saying(mut self, action: &str) -> Self {
        action.clone_into(&mut self.action);
        self
    }
}

/// As it stands in the protocol: `cm_` and 32 hexadecimal digits.
pub(crate) fn shown(id: CommandId) -> String {
    format!("cm_{}", HEXLOWER.encode(&id.0))
}

fn word(action: Action) -> &'static str {
    match action {
        Action::Restrict => "restrict",
        Action::Mask => "mask",
        Action::Pseudonymise => "pseudonymise",
        Action::Anonymise => "anonymise",
        Action::Erase => "erase",
    }
}

fn text(value: &Scalar) -> String {
    match value {
        Scalar::Text(text) | Scalar::Number(text) => text.reveal().to_owned(),
        Scalar::Integer(number) => number.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_says_the_terms_again() {
        let terms = Terms { not_after: 7, policy_version: 2, control_k: 3, plan_hash: "ab".into() };
        assert_eq!(Terms::read(&terms.reference()), Some(terms));
        assert_eq!(Terms::read("7:2:3"), None);
        assert_eq!(Terms::read("x:2:3:ab"), None);
    }
}
