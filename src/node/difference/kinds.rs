//! Items that the rules cannot tell apart but by when they were recorded, and what those of each day come to.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use quietus_core::engine::control::Control;
use quietus_core::item::{Copy, CopyKind, CopyState};
use quietus_core::life::Life;
use quietus_core::policy::Days;
use quietus_core::record::Shape;
use quietus_core::time::Millis;

use super::Difference;
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

#[derive(Debug)]
struct Kind {
    copies: Vec<Copy>,
    /// Which of `comes_to` an item recorded in each stretch of days comes to, counted from 1; 0 = not judged yet.
    of_days: Vec<u16>,
    undated: u16,
    /// Distinct ones, and how many items.
    comes_to: Vec<(Difference, i64)>,
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
        if !cells_do_not_matter(control, named) {
            return None;
        }
        if !replan.counts_days(control, &life.item.copies) {
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
            let (copies, of_days) = (life.item.copies, vec![0; days.len()]);
            self.all.push(Kind { copies, of_days, undated: 0, comes_to: Vec::new() });
        }
        Some(kind)
    }

    /// What items of this kind come to that were recorded then, as its place among the others; None = that day's do not
    /// all come to the same.
    pub fn place(
        &mut self,
        replan: &Replan<'_>,
        days: &Days,
        control: &Control,
        kind: usize,
        start: Option<Millis>,
    ) -> Option<u16> {
        let kind = self.all.get_mut(kind)?;
        let known = match start {
            Some(start) => kind.of_days.get_mut(days.stretch(start)?)?,
            None => &mut kind.undated,
        };
        if *known == 0 {
            let found = replan.alone(control, &kind.copies, start);
            let same = kind.comes_to.iter().position(|(known, _)| *known == found);
            let at = same.unwrap_or(kind.comes_to.len());
            *known = u16::try_from(at + 1).ok()?;
            if same.is_none() {
                kind.comes_to.push((found, 0));
            }
        }
        Some(*known)
    }

    /// So many more items come to what has this place.
    pub fn add(&mut self, kind: usize, place: u16, items: i64) {
        let of =
            self.all.get_mut(kind).and_then(|kind| kind.comes_to.get_mut(usize::from(place).checked_sub(1)?));
        of.into_iter().for_each(|(_, known)| *known += items);
    }

    pub fn copies(&self, kind: usize) -> &[Copy] {
        self.all.get(kind).map(|kind| kind.copies.as_slice()).unwrap_or_default()
    }

    pub fn total(&self, difference: &mut Difference) {
        for (one, items) in self.all.iter().flat_map(|kind| &kind.comes_to) {
            difference.add(one, *items);
        }
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
