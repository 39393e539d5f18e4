//! A sweep adds nothing of its own: it says of each item what judging that item alone says, and after a change of rules
//! what a partition says that never knew other rules.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::world::{POLICY, SHOP, World, item};
use crate::engine::wishes;
use crate::item::Subject;
use crate::obligation::{Block, ObligationId, Stand};
use crate::record::{Change, ChangeKind, Origin};
use crate::time::{Millis, Moment};
use crate::word::Word;

const STRICTER: &str = "policy: shop
timezone: Europe/Berlin
purposes:
  service: {use: essential.service, basis: contract}
  ads: {use: marketing.advertising, basis: consent}
rules:
  - {id: used, category: user.contact, purpose: service, keep: 10d after last_activity}
  - {id: given, category: user.contact, purpose: ads, keep: 5d after granted}
  - {id: law, category: user.contact, at_least: 45d after recorded, law: \"a law\"}
holds: {cool_down: 0s}
";

/// What is told of an item: when, counted in days before the end, and what.
#[derive(Clone, Debug)]
enum Told {
    Recorded(Option<i64>, Vec<&'static str>),
    Changed(ChangeKind),
    Swept,
}

fn told() -> impl Strategy<Value = (u8, i64, Told)> {
    let purposes = proptest::sample::subsequence(vec!["ads", "service"], 0..=2);
    let what = prop_oneof![
        4 => (proptest::option::weighted(0.9, 0i64..70), purposes).prop_map(|(ago, p)| Told::Recorded(ago, p)),
        1 => Just(Told::Changed(ChangeKind::Touched)),
        1 => Just(Told::Changed(ChangeKind::Granted)),
        2 => Just(Told::Changed(ChangeKind::Withdrawn)),
        1 => Just(Told::Changed(ChangeKind::Gone)),
        1 => Just(Told::Swept),
    ];
    (1u8..6, 0i64..60, what)
}

fn hear(w: &mut World, (n, days, told): &(u8, i64, Told)) {
    let (id, at) = (item(*n), w.state.now.plus(-days * Millis::DAY));
    match told {
        Told::Recorded(ago, purposes) => {
            let start = ago.map(|ago| at.plus(-ago * Millis::DAY));
            w.put_under(purposes, id, Origin::Event, start, at);
        }
        Told::Changed(kind) => {
            let name = matches!(kind, ChangeKind::Granted | ChangeKind::Withdrawn).then(|| "ads".to_owned());
            let (subject, item) = (Some(id.subject.0.to_vec()), Some(id.item.0.to_vec()));
            w.changes(Change { subject, item, name, ..Change::new(*kind, at.0) });
        }
        Told::Swept => w.sweep(),
    }
}

/// Duties that are not carried out: where they stand, what stops them, by which rule.
type Open = BTreeMap<ObligationId, (Stand, Option<Block>, Option<Word>)>;

fn open(w: &World) -> Open {
    let open = w.state.duties.all().filter(|d| d.stand != Stand::Withdrawn);
    open.map(|d| (d.id, (d.stand, d.block.clone(), d.rule.clone()))).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_sweep_says_of_each_item_what_judging_it_alone_says(
        all in proptest::collection::vec(told(), 1..40),
        stricter in any::<bool>(),
    ) {
        let mut w = World::new(&[SHOP.to_owned()]);
        w.publish(if stricter { STRICTER } else { POLICY });
        all.iter().for_each(|told| hear(&mut w, told));
        w.sweep();
        let (mut alone, mut due) = (BTreeSet::new(), 0);
        for (id, lives) in &w.lives {
            let Some(mut life) = lives.newest().cloned() else { continue };
            w.state.control.complete(&mut life);
            let subject = w.subjects.get(&id.subject).cloned();
            let subject = subject.unwrap_or_else(|| Subject::unknown(id.subject));
            let owed = wishes(&w.state.control, &life, &subject, Moment::at(w.state.now));
            due += owed.len() as u64;
            alone.extend(owed.iter().map(|wish| wish.id(&life)));
        }
        prop_assert_eq!(open(&w).into_keys().collect::<BTreeSet<_>>(), alone);
        let last = w.state.slices[&format!("sw_{}", w.state.slices.len())];
        prop_assert_eq!(last.due, due);
    }

    #[test]
    fn after_a_change_of_rules_a_sweep_says_what_it_would_have_said_from_the_start(
        all in proptest::collection::vec(told(), 1..40),
        at in any::<prop::sample::Index>(),
        stricter in any::<bool>(),
    ) {
        let (before, after) = if stricter { (POLICY, STRICTER) } else { (STRICTER, POLICY) };
        let (mut changed, mut scratch) = (World::new(&[SHOP.to_owned()]), World::new(&[SHOP.to_owned()]));
        changed.publish(before);
        scratch.publish(after);
        for (n, told) in all.iter().enumerate() {
            if n == at.index(all.len()) {
                changed.publish(after);
            }
            hear(&mut changed, told);
            hear(&mut scratch, told);
        }
        changed.sweep();
        scratch.sweep();
        prop_assert_eq!(open(&changed), open(&scratch));
    }
}
