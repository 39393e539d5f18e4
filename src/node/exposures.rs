//! What lay in a system during some time: the first question after a leak.
//!
//! Counted from what is known, on the safe side: an item without a known start counts as there from the beginning,
//! and a category that was masked counts as there until then is known to be over. Nobody is named.

use std::collections::{BTreeMap, BTreeSet};

use quietus_core::identity::SubjectKey;
use quietus_core::item::{Copy, CopyState};
use quietus_core::time::Millis;

use super::{Node, NodeError};

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Exposure {
    pub subjects: u64,
    pub items: u64,
    pub copies: u64,
    /// Copies whose start nobody knows: counted.
    pub undated: u64,
    /// By category and purpose; None = a copy without any purpose.
    pub by: BTreeMap<(String, Option<String>), Exposed>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Exposed {
    pub subjects: u64,
    pub items: u64,
}

type Row = (String, Option<String>);

impl Node {
    /// What lay in `system` at any moment from `from` to `to`.
    pub fn exposure(&self, system: &str, from: Millis, to: Millis) -> Result<Exposure, NodeError> {
        if to < from {
            return Err(NodeError::Refused {
                code: "wrong-time",
                what: "the end lies before the beginning".to_owned(),
                fix: "write --from TIME --to TIME, the earlier first".to_owned(),
            });
        }
        self.is_known_since(from)?;
        let mut all = Exposure::default();
        for partition in self.partitions.iter() {
            let inner = partition.read();
            let mut people: BTreeSet<SubjectKey> = BTreeSet::new();
            let mut by_person: BTreeMap<Row, BTreeSet<SubjectKey>> = BTreeMap::new();
            inner.store.each(&mut |lives, _| {
                for life in &lives.lives {
                    let mut life = life.clone();
                    inner.state.control.complete(&mut life);
                    let there =
                        |c: &&Copy| *c.system == *system && overlaps(life.item.recorded, c.state, from, to);
                    let copies: Vec<&Copy> = life.item.copies.iter().filter(there).collect();
                    if copies.is_empty() {
                        continue;
                    }
                    all.items += 1;
                    all.copies += copies.len() as u64;
                    all.undated += if life.item.recorded.is_none() { copies.len() as u64 } else { 0 };
                    let subject = life.item.id.subject;
                    people.insert(subject);
                    let rows: BTreeSet<Row> = copies.iter().flat_map(|copy| rows(copy)).collect();
                    for row in rows {
                        all.by.entry(row.clone()).or_default().items += 1;
                        by_person.entry(row).or_default().insert(subject);
                    }
                }
            });
            all.subjects += people.len() as u64;
            for (row, people) in by_person {
                all.by.entry(row).or_default().subjects += people.len() as u64;
            }
        }
        if all.items == 0 {
            // Nothing there is an answer; a name that nobody knows is none.
            self.system(system)?;
        }
        Ok(all)
    }
}

fn rows(copy: &Copy) -> Vec<Row> {
    let purposes: Vec<Option<String>> = match copy.purposes.is_empty() {
        true => vec![None],
        false => copy.purposes.iter().cloned().map(Some).collect(),
    };
    let of = |category: &String| purposes.iter().map(|p| (category.clone(), p.clone())).collect::<Vec<_>>();
    copy.categories.iter().flat_map(of).collect()
}

fn overlaps(recorded: Option<Millis>, state: CopyState, from: Millis, to: Millis) -> bool {
    let gone = match state {
        CopyState::Live => None,
        CopyState::Erased { at, .. } | CopyState::Gone { at } => Some(at),
    };
    recorded.is_none_or(|at| at <= to) && gone.is_none_or(|at| at >= from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_lay_there_from_its_start_to_its_end() {
        let (from, to) = (Millis(10), Millis(20));
        let erased = |at| CopyState::Erased { at: Millis(at), verified: None };
        for (recorded, state, there) in [
            (Some(5), CopyState::Live, true),
            (Some(20), CopyState::Live, true),
            (Some(21), CopyState::Live, false),
            (None, CopyState::Live, true),
            (Some(5), erased(9), false),
            (Some(5), erased(10), true),
            (Some(15), CopyState::Gone { at: Millis(16) }, true),
            (None, erased(9), false),
        ] {
            assert_eq!(overlaps(recorded.map(Millis), state, from, to), there, "{recorded:?} {state:?}");
        }
    }
}
