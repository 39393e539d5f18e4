//! Items that the rules cannot tell apart but by when they were recorded.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use quietus_core::engine::control::Control;
use quietus_core::item::{Copy, CopyKind, CopyState};
use quietus_core::life::Life;
use quietus_core::policy::Days;
use quietus_core::record::Shape;

use super::Difference;
use super::kind::Kind;
use super::replan::{Replan, plain};

#[derive(Debug, Default)]
pub(super) struct Kinds {
    /// As of this entry of the control log; what systems say of themselves may be another thing later.
    k: u64,
    known: BTreeMap<Vec<Seen>, usize>,
    all: Vec<Kind>,
}

/// All that the rules see of a copy: the same for shapes that lie in different tables.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Seen {
    kind: CopyKind,
    retains: bool,
    /// Of each of its categories: it tells records apart there.
    identifies: Vec<bool>,
}

impl Kinds {
    /// The kind of items of this shape; None = they do not come to the same even when they were recorded on one day.
    pub fn of(
        &mut self,
        replan: &Replan<'_>,
        days: &Days,
        control: &Control,
        shape: &Shape,
    ) -> Option<usize> {
        let mut life = plain(shape.kinds().iter().map(copy).collect(), None);
        let named = life.item.copies.len();
        control.complete(&mut life);
        let named = life.item.copies.get(..named).unwrap_or_default();
        if !cells_do_not_matter(control, named) || !replan.counts_days(control, &life.item.copies) {
            return None;
        }
        if self.k != control.k {
            self.k = control.k;
            self.known.clear();
        }
        let seen = life.item.copies.iter().map(|copy| Seen::of(control, &life, copy)).collect();
        let next = self.all.len();
        let kind = *self.known.entry(seen).or_insert(next);
        if kind == next {
            self.all.push(Kind::new(days, life.item.copies));
        }
        Some(kind)
    }

    pub fn get(&self, kind: usize) -> Option<&Kind> {
        self.all.get(kind)
    }

    pub fn get_mut(&mut self, kind: usize) -> Option<&mut Kind> {
        self.all.get_mut(kind)
    }

    pub fn total(&self, difference: &mut Difference) {
        self.all.iter().for_each(|kind| kind.total(difference));
    }
}

impl Seen {
    fn of(control: &Control, life: &Life, copy: &Copy) -> Self {
        // A derived copy is told apart as the one that it was made of is.
        let named = life.named(&copy.dataset, &copy.cell).unwrap_or(copy);
        let identifies = |category: &String| control.only_identifies(&named.system, &named.dataset, category);
        // Rules name no table.
        let kind = CopyKind { dataset: "".into(), ..(*copy.kind).clone() };
        let identifies = copy.categories.iter().map(identifies).collect();
        Self { kind, retains: control.retains(&copy.system), identifies }
    }
}

/// Locators alone would say whether two copies in one table are one, and of copies in tables of one name, which of them
/// a derived one was made of and where a key tells records apart.
fn cells_do_not_matter(control: &Control, copies: &[Copy]) -> bool {
    let differ = |place: &dyn Fn(&Copy) -> (String, String)| {
        let places: BTreeSet<_> = copies.iter().map(place).collect();
        places.len() == copies.len()
    };
    let tells_apart = |copy: &Copy| {
        let mut categories = copy.categories.iter();
        categories.any(|category| control.only_identifies(&copy.system, &copy.dataset, category))
    };
    differ(&|copy| (String::new(), copy.dataset.to_string()))
        || differ(&|copy| (copy.system.to_string(), copy.dataset.to_string()))
            && control.derivations.is_empty()
            && !copies.iter().any(tells_apart)
}

fn copy(kind: &Arc<CopyKind>) -> Copy {
    Copy { kind: Arc::clone(kind), cell: Vec::new(), state: CopyState::default() }
}
