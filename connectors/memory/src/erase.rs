//! Commands carried out: tried, judged by the gate, and then done without what it stopped.

use std::collections::{BTreeMap, BTreeSet};

use quietus_contract::{
    CommandId, Failure, Outcome, Target, Work, fields_to_correct, fields_to_mask, key_columns,
};
use quietus_core::system::Manifest;
use quietus_core::verdict::Action;

use crate::rows::{Before, Fields, Key, Rows, key, rank};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Erase,
    Correct,
}

pub(crate) struct Step {
    pub(crate) command: CommandId,
    dataset: String,
    key: Key,
    rank: usize,
    /// None: the record goes.
    set: Option<Fields>,
}

/// The steps, children before parents, and the answers that need none.
pub(crate) fn plan(
    manifest: &Manifest,
    kind: Kind,
    targets: &[Target],
) -> (Vec<Step>, Vec<(CommandId, Outcome)>) {
    let (mut steps, mut answers) = (Vec::new(), Vec::new());
    for target in targets {
        match step(manifest, kind, target) {
            Ok(step) => steps.push(step),
            Err(outcome) => answers.push((target.command, outcome)),
        }
    }
    steps.sort_by_key(|s| std::cmp::Reverse(s.rank));
    (steps, answers)
}

fn step(manifest: &Manifest, kind: Kind, target: &Target) -> Result<Step, Outcome> {
    let refused = |reason: String| Outcome::Refused { reason };
    let Some((_, collection)) = manifest.collection(&target.dataset) else {
        let detail = format!("dataset {} is not in the manifest", target.dataset);
        return Err(Outcome::Failed(Failure::fatal("missing_table", detail)));
    };
    let columns = key_columns(collection);
    if columns.is_empty() || columns.iter().any(|c| !target.locator.contains_key(c)) {
        return Err(refused(format!("the locator does not name the whole key of {}", target.dataset)));
    }
    if kind == Kind::Erase && matches!(target.work, Work::Correct(_)) {
        return Err(refused("a correction was sent as an erasure".into()));
    }
    if kind == Kind::Correct && !matches!(target.work, Work::Correct(_)) {
        return Err(refused("an erasure was sent as a correction".into()));
    }
    let set = replacements(manifest, target).map_err(refused)?;
    if let Some(field) = set.iter().flat_map(|s| s.keys()).find(|f| columns.contains(f)) {
        return Err(refused(format!("{field} is part of the key and can only go with its record")));
    }
    let rank = rank(manifest, collection);
    Ok(Step {
        command: target.command,
        dataset: target.dataset.to_string(),
        key: key(&target.locator),
        rank,
        set,
    })
}

/// What the fields are to hold afterwards; None when the record is to go.
pub(crate) fn replacements(manifest: &Manifest, target: &Target) -> Result<Option<Fields>, String> {
    let Some((_, collection)) = manifest.collection(&target.dataset) else {
        return Err(format!("dataset {} is not in the manifest", target.dataset));
    };
    let mut set = Fields::new();
    match &target.work {
        Work::Delete => return Ok(None),
        Work::Change { action: Action::Mask | Action::Erase, categories } => {
            for field in fields_to_mask(collection, categories)? {
                set.insert(field.name.clone(), field.mask.clone());
            }
        }
        Work::Change { .. } => return Err("this connector can erase and mask, nothing else".into()),
        Work::Correct(changes) => {
            for change in changes {
                for field in fields_to_correct(collection, &change.category)? {
                    let value = change.value.as_ref().map(|v| v.reveal().to_owned());
                    let other = set.insert(field.name.clone(), value.clone());
                    if other.is_some_and(|o| o != value) {
                        return Err(format!("two changes give {} different values", field.name));
                    }
                }
            }
        }
    }
    Ok(Some(set))
}

/// Does the steps that `may` name (None: all), and says how to take them back.
pub(crate) fn execute(
    rows: &mut Rows,
    manifest: &Manifest,
    steps: &[Step],
    may: Option<&BTreeSet<CommandId>>,
) -> (BTreeMap<CommandId, Outcome>, Vec<Before>) {
    let (mut outcomes, mut changes) = (BTreeMap::new(), Vec::new());
    let mut pending: Vec<&Step> = steps.iter().collect();
    // A record may refer to another of its own collection: again, until a pass gets no further.
    loop {
        let tried = pending.len();
        let mut stopped = Vec::new();
        for step in pending {
            let outcome = one(rows, manifest, step, may, &mut changes);
            if matches!(outcome, Outcome::Failed(_)) {
                stopped.push(step);
            }
            outcomes.insert(step.command, outcome);
        }
        if stopped.is_empty() || stopped.len() == tried {
            return (outcomes, changes);
        }
        pending = stopped;
    }
}

fn one(
    rows: &mut Rows,
    manifest: &Manifest,
    step: &Step,
    may: Option<&BTreeSet<CommandId>>,
    changes: &mut Vec<Before>,
) -> Outcome {
    let Some(fields) = rows.get(&step.dataset, &step.key) else { return Outcome::Absent };
    let wanted = match &step.set {
        None if rows.has_children(manifest, &step.dataset, &step.key, fields) => {
            return Outcome::Failed(Failure::retry("constraint", "other records still refer to this one"));
        }
        None => None,
        Some(set) if set.iter().all(|(name, v)| fields.get(name).unwrap_or(&None) == v) => {
            return Outcome::Unchanged { reason: "already holds the replacement".into() };
        }
        Some(set) => {
            let mut fields = fields.clone();
            fields.extend(set.clone());
            Some(fields)
        }
    };
    if may.is_some_and(|may| !may.contains(&step.command)) {
        return Outcome::Failed(Failure::retry("conflict", "the record came while the gate was asked"));
    }
    let outcome = if wanted.is_some() { Outcome::Changed(1) } else { Outcome::Removed(1) };
    changes.push(rows.replace(&step.dataset, &step.key, wanted));
    outcome
}
