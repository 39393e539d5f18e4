//! Legal holds: what they cover, and whether they are in effect.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::identity::{ItemKey, ProcessKey, SubjectKey};
use crate::item::{Copy, Item};
use crate::obligation::Duty;
use crate::time::Millis;

/// What a hold covers: AND across fields, OR within one; a predicate, so later items are covered too.
///
/// An empty scope covers nothing and is refused when placed; `all` must be typed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Scope {
    #[serde(skip_serializing_if = "is_false")]
    pub all: bool,
    #[serde(skip_serializing_if = "BTreeSet::is_empty", with = "hex_set")]
    pub subjects: BTreeSet<[u8; 16]>,
    #[serde(skip_serializing_if = "BTreeSet::is_empty", with = "hex_set")]
    pub items: BTreeSet<[u8; 16]>,
    #[serde(skip_serializing_if = "BTreeSet::is_empty", with = "hex_set")]
    pub processes: BTreeSet<[u8; 16]>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub categories: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub purposes: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub systems: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub jurisdictions: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recorded_from: Option<Millis>,
    /// Inclusive.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recorded_to: Option<Millis>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hold {
    pub id: String,
    pub matter: String,
    pub authority: String,
    pub reference: Option<String>,
    pub owner: String,
    pub reason: String,
    pub scope: Scope,
    pub review: String,
    pub confidential: bool,
    pub allow: Vec<String>,
    pub by: Option<String>,
    pub placed: Millis,
    /// Control log position of its placing.
    pub k: u64,
    pub effective: Option<Millis>,
    pub released: Option<Millis>,
    pub covered_items: u64,
    pub covered_copies: u64,
    /// Keyed hash of what was asked.
    pub asked: Option<Vec<u8>>,
}

impl Hold {
    /// From the moment it is applied: a hold blocks before it is *effective*, which only says that everyone knows.
    pub fn blocks(&self) -> bool {
        self.released.is_none()
    }
}

impl Hold {
    /// Its `allow` names corrections at large, or of this category.
    pub fn allows_correction(&self, category: &str) -> bool {
        let named = self.allow.iter().any(|a| matches!(a.as_str(), "correct" | "correction" | "corrections"));
        named || (!self.allow.is_empty() && any_segments(&self.allow, std::iter::once(category)))
    }

    /// Covers this part of this copy against this kind of work.
    pub fn stops(&self, duty: Duty, item: &Item, copy: &Copy, category: &str) -> bool {
        let allowed = duty == Duty::Correct && self.allows_correction(category);
        !allowed && self.scope.covers(item, copy, category)
    }
}

impl Scope {
    /// Nothing is named.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Covers this category of this copy.
    pub fn covers(&self, item: &Item, copy: &Copy, category: &str) -> bool {
        self.covers_copy(item, copy) && any_segments(&self.categories, std::iter::once(category))
    }

    /// Covers some part of this copy, whatever its category.
    fn covers_copy(&self, item: &Item, copy: &Copy) -> bool {
        if self.is_empty() {
            return false;
        }
        let ItemKey(item_key) = item.id.item;
        let process = item.process.map(|ProcessKey(p)| p);
        // An unknown start may lie in the range: what is not known to be outside is preserved.
        let recorded = self.recorded_from.is_none_or(|from| item.recorded.is_none_or(|r| r >= from))
            && self.recorded_to.is_none_or(|to| item.recorded.is_none_or(|r| r <= to));
        recorded
            && self.may_concern(std::iter::once(&item.id.subject).chain(&item.linked))
            && (self.items.is_empty() || self.items.contains(&item_key))
            && (self.processes.is_empty() || process.is_some_and(|p| self.processes.contains(&p)))
            && (self.systems.is_empty() || self.systems.iter().any(|system| **system == *copy.system))
            && any_segments(&self.purposes, copy.purposes.iter().map(String::as_str))
            && (self.jurisdictions.is_empty()
                || copy
                    .jurisdiction
                    .as_ref()
                    .is_some_and(|j| self.jurisdictions.iter().any(|w| covers_place(w, j))))
    }

    /// False = it is limited to persons, and none of these identities is among theirs. A hold on a person holds for
    /// every identity of theirs, so all of one person's are asked about at once.
    pub fn may_concern<'s>(&self, mut identities: impl Iterator<Item = &'s SubjectKey>) -> bool {
        self.subjects.is_empty() || identities.any(|SubjectKey(key)| self.subjects.contains(key))
    }

    /// The subjects this scope is limited to; None = it may cover any.
    pub fn only_subjects(&self) -> Option<impl Iterator<Item = SubjectKey> + '_> {
        (!self.subjects.is_empty()).then(|| self.subjects.iter().map(|s| SubjectKey(*s)))
    }
}

/// `wide` covers `narrow` by whole dot segments.
fn any_segments<'a>(wide: &[String], mut narrow: impl Iterator<Item = &'a str>) -> bool {
    wide.is_empty()
        || narrow.any(|n| {
            wide.iter().any(|w| {
                n.strip_prefix(w.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
            })
        })
}

/// `US` covers `US-CA`.
fn covers_place(wide: &str, narrow: &str) -> bool {
    narrow.strip_prefix(wide).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
}

fn is_false(value: &bool) -> bool {
    !*value
}

/// Keys in a scope's JSON are hex: the control log holds no identity.
mod hex_set {
    use std::collections::BTreeSet;

    use serde::{Deserialize, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(set: &BTreeSet<[u8; 16]>, s: S) -> Result<S::Ok, S::Error> {
        s.collect_seq(set.iter().map(|k| data_encoding::HEXLOWER.encode(k)))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<BTreeSet<[u8; 16]>, D::Error> {
        let texts: Vec<String> = Deserialize::deserialize(d)?;
        texts
            .iter()
            .map(|t| {
                let bytes = data_encoding::HEXLOWER.decode(t.as_bytes()).map_err(serde::de::Error::custom)?;
                bytes.try_into().map_err(|_| serde::de::Error::custom("a key has 16 bytes"))
            })
            .collect()
    }
}
