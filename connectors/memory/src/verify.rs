//! The read-back: goes through the records as they lie, and never asks what was done.

use std::collections::BTreeMap;
use std::sync::Arc;

use quietus_contract::{Failure, Finding, ReadBack, Target, identity_columns};
use quietus_core::system::{Collection, Manifest};

use crate::erase::replacements;
use crate::rows::{Fields, Key, Rows, key, value};

type Record<'a> = (&'a Key, &'a Fields);

pub(crate) fn read_back(
    rows: &Rows,
    manifest: &Manifest,
    targets: &[Target],
    at: Option<i64>,
) -> Vec<ReadBack> {
    let mut view = View { rows, by_loose_key: BTreeMap::new(), people: BTreeMap::new() };
    // Once through each dataset, by the loose spelling of its keys.
    for target in targets {
        view.by_loose_key.entry(&target.dataset).or_insert_with(|| {
            let mut near: BTreeMap<Key, Vec<Record<'_>>> = BTreeMap::new();
            rows.of(&target.dataset).for_each(|r| near.entry(loose(r.0)).or_default().push(r));
            near
        });
    }
    targets.iter().map(|target| ReadBack { at, ..view.one(manifest, target) }).collect()
}

struct View<'a> {
    rows: &'a Rows,
    by_loose_key: BTreeMap<&'a str, BTreeMap<Key, Vec<Record<'a>>>>,
    /// How many records an identity has in a dataset: counted once.
    people: BTreeMap<(&'a str, &'a str, &'a str), usize>,
}

impl<'a> View<'a> {
    fn one(&mut self, manifest: &Manifest, target: &'a Target) -> ReadBack {
        let mut back = ReadBack {
            command: target.command,
            finding: Finding::Gone,
            identity_rows: None,
            scope: Arc::default(),
            not_checked: Vec::new(),
            at: None,
        };
        let wanted = match replacements(manifest, target) {
            Ok(wanted) => wanted,
            Err(reason) => {
                back.finding = Finding::Unreadable(Failure::fatal("missing_column", reason));
                return back;
            }
        };
        let mut scope = vec!["primary key".to_owned()];
        let own = key(&target.locator);
        let near = self.by_loose_key.get(&*target.dataset).and_then(|d| d.get(&loose(&own)));
        let near: Vec<Record<'a>> = near.cloned().unwrap_or_default();
        let by_identity = match manifest.collection(&target.dataset) {
            Some((_, collection)) => self.by_identity(collection, target, &near, &mut back, &mut scope),
            None => 0,
        };
        back.scope = scope.into();
        back.finding = match near.iter().find(|(k, _)| **k == own) {
            Some((_, fields)) => match wanted {
                Some(set) if set.iter().all(|(name, v)| fields.get(name).unwrap_or(&None) == v) => {
                    Finding::Gone
                }
                _ => Finding::Found { count: 1, by: "primary key".into() },
            },
            None if by_identity > 0 => Finding::Found { count: by_identity, by: "identity".into() },
            None => Finding::Gone,
        };
        back
    }

    /// How many records of the subject lie under another spelling of the key; says in `back` and `scope` what was looked at.
    fn by_identity(
        &mut self,
        collection: &Collection,
        target: &'a Target,
        near: &[Record<'a>],
        back: &mut ReadBack,
        scope: &mut Vec<String>,
    ) -> u64 {
        let (mut found, mut read): (u64, bool) = (0, false);
        for identity in &target.identities {
            let columns = identity_columns(collection, &identity.kind);
            if columns.is_empty() {
                continue;
            }
            read = true;
            let known = identity.value.reveal();
            let theirs = |(k, f): &Record<'_>| {
                columns.iter().any(|c| value(k, f, c).is_some_and(|v| is(&identity.kind, v, known)))
            };
            let rows = self.rows;
            let person = (&*target.dataset, identity.kind.as_str(), known);
            let count =
                self.people.entry(person).or_insert_with(|| rows.of(&target.dataset).filter(theirs).count());
            scope.push(format!("identity {}", identity.kind));
            back.identity_rows = back.identity_rows.max(Some(*count as u64));
            found = found.max(near.iter().filter(|r| theirs(r)).map(|_| 1).sum());
        }
        if !read {
            back.not_checked
                .push(format!("by identity: {} names no column for this subject", target.dataset));
        }
        found
    }
}

/// An e-mail address is known in lower case; the application may keep it as it was typed.
fn is(kind: &str, stored: &str, known: &str) -> bool {
    stored == known || (kind == "email" && stored.trim().eq_ignore_ascii_case(known))
}

fn loose(key: &Key) -> Key {
    key.iter().map(|(column, v)| (column.clone(), v.trim().to_lowercase())).collect()
}
