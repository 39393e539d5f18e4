//! Records of a source on several threads: each maps, hashes and seals a stretch of them.
//!
//! Invariant: the same rows in the same order as one thread makes, apart from a sealed identity that two stretches may
//! both send; where a stretch repeats an event of one before it, what comes from there on is left to the next call.
//! Rejected: a thread for each consumer, which helps only who has many; and threads that wait for work, for a call has
//! enough to begin them anew.

use super::arrived::Arrived;
use super::dedupe::Hashes;
use super::feeding::{Fed, Feeding};

/// A stretch is worth a thread from here on.
const STRETCH_MIN: usize = 1_000;
/// More would take turns at what they share.
const LANES_MAX: usize = 4;

/// As [`Feeding::feed`].
pub fn feed(feeding: &Feeding<'_>, records: &[Arrived]) -> Fed {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let lanes = (records.len() / STRETCH_MIN).clamp(1, cores.min(LANES_MAX));
    on(lanes, records, &|stretch| feeding.feed(stretch))
}

fn on(lanes: usize, records: &[Arrived], feed: &(dyn Fn(&[Arrived]) -> Fed + Sync)) -> Fed {
    let mut stretches = records.chunks(records.len().div_ceil(lanes).max(1));
    let first = stretches.next().unwrap_or_default();
    let rest: Vec<&[Arrived]> = stretches.collect();
    std::thread::scope(|scope| {
        let begun: Vec<_> =
            rest.iter().map(|stretch| (stretch.len(), scope.spawn(|| feed(stretch)))).collect();
        let mut all = feed(first);
        let mut whole = all.emptied.is_none() && all.records == first.len();
        let mut known: Hashes<(u32, u64)> = all.receipt.events.iter().copied().collect();
        for (records, fed) in begun {
            let fed = fed.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            whole = whole && fed.emptied.is_none() && !fed.receipt.events.iter().any(|e| known.contains(e));
            if whole {
                known.extend(&fed.receipt.events);
                whole = fed.records == records;
                all.go_on(fed);
            }
        }
        all
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use quietus_core::record::Record;
    use quietus_core::source::parse_sources;
    use quietus_core::time::Millis;

    use super::*;
    use crate::intake::accept::{Intake, Options, Receipt};
    use crate::intake::context::Context;
    use crate::intake::mapping::{Mapping, Schemas};
    use crate::intake::refuse::Refused;
    use crate::sealing::Keys;

    fn records(n: usize) -> Vec<Arrived> {
        (0..n).map(|offset| Arrived { offset: offset as i64, ..Arrived::default() }).collect()
    }

    /// Every record is an event of this id.
    fn fed(stretch: &[Arrived], id: impl Fn(i64) -> u64) -> Fed {
        let events = stretch.iter().map(|r| (0, id(r.offset))).collect();
        let refused = stretch.iter().enumerate().filter(|(_, r)| r.offset % 10 == 7);
        Fed {
            records: stretch.len(),
            taken: stretch.len(),
            refused: refused.map(|(index, _)| (index, Refused::missing("data"))).collect(),
            receipt: Receipt { events, subjects: Vec::new() },
            ..Fed::default()
        }
    }

    #[test]
    fn stretches_add_up_to_the_whole_in_order() {
        let records = records(25);
        for lanes in 1..5 {
            let all = on(lanes, &records, &|stretch| fed(stretch, |offset| offset as u64));
            assert_eq!((all.records, all.taken), (25, 25), "{lanes} lanes");
            let events: Vec<u64> = all.receipt.events.iter().map(|(_, id)| *id).collect();
            assert_eq!(events, (0..25).collect::<Vec<_>>());
            assert_eq!(all.refused.iter().map(|(at, _)| *at).collect::<Vec<_>>(), [7, 17]);
        }
        assert_eq!(on(3, &[], &|stretch| fed(stretch, |_| 1)).records, 0);
    }

    #[test]
    fn real_records_become_the_same_rows_in_the_same_order() {
        let text = "source: s\nfrom: {kafka: {topic: t}}\nformat: json\nrules:\n  - emit: item.recorded\n    with: {subject: {type: customer_id, value: value:/who}, category: user.contact.email, purposes: [service], recorded_at: {from: value:/at, unit: ms}, copies: [{system: shop-db, dataset: shop.users, locator: {id: value:/id}}]}\n";
        let (mut sources, found) = parse_sources("s.yaml", text.as_bytes());
        assert!(found.is_empty(), "{found:?}");
        let mapping = Mapping::new(sources.remove(0), &BTreeMap::new()).unwrap();
        let intake = Intake::new(Keys::from_tenant(&[7; 32]).unwrap(), 4, Options::default());
        let (schemas, context) = (Schemas::bundled(), Context::new("customer_id", Millis(1)));
        let feeding = Feeding {
            intake: &intake,
            mapping: &mapping,
            schemas: &schemas,
            context: &context,
            generation: 1,
            origin: None,
            taken: &[],
        };
        let record = |n: i64| Arrived {
            mark: Some("t".into()),
            offset: n,
            ..Arrived::value(format!(r#"{{"who":{},"id":{n},"at":0}}"#, n / 3).as_bytes())
        };
        let records: Vec<Arrived> = (0..100).map(record).collect();
        let rows = |lanes| {
            let fed = on(lanes, &records, &|stretch| feeding.feed(stretch));
            assert_eq!((fed.records, fed.taken, fed.refused.len()), (100, 100, 0));
            let mut rows = vec![Vec::new(); 4];
            for (partition, frame) in fed.frames {
                for record in frame.records {
                    let Record::Facts(facts) = record else { panic!("{record:?}") };
                    let facts = facts.rows().unwrap();
                    rows[partition as usize]
                        .extend(facts.into_iter().map(|fact| (fact.subject, fact.item, fact.cells)));
                }
            }
            rows
        };
        let one = rows(1);
        assert_eq!(one.iter().map(Vec::len).sum::<usize>(), 100);
        assert!((2..6).all(|lanes| rows(lanes) == one));
    }

    #[test]
    fn what_repeats_an_earlier_stretch_is_left_to_the_next_call() {
        // The record at 15 repeats the event of the one at 3: with four lanes of 6 it stands in the third.
        let repeats = |offset: i64| if offset == 15 { 3 } else { offset as u64 };
        let all = on(4, &records(24), &|stretch| fed(stretch, repeats));
        assert_eq!(all.records, 12);
        // Within one stretch its own thread sees to it.
        let near = |offset: i64| if offset == 5 { 3 } else { offset as u64 };
        assert_eq!(on(4, &records(24), &|stretch| fed(stretch, near)).records, 24);
    }

    #[test]
    fn nothing_goes_past_a_record_that_empties_its_place() {
        let records = records(24);
        let emptied = || crate::intake::mapping::Emptied {
            system: "s".to_owned(),
            dataset: "d".to_owned(),
            at: Millis(0),
        };
        // First of a stretch it stands alone; within one, its stretch ends before it.
        for (at, taken) in [(0, 1), (2, 2), (6, 6), (9, 9)] {
            let all = on(4, &records, &|stretch| {
                let place = stretch.iter().position(|r| r.offset == at);
                match place {
                    Some(0) => Fed { emptied: Some(emptied()), records: 1, taken: 1, ..Fed::default() },
                    Some(before) => fed(&stretch[..before], |offset| offset as u64),
                    None => fed(stretch, |offset| offset as u64),
                }
            });
            assert_eq!(all.records, taken, "at {at}");
            assert_eq!(all.emptied.is_some(), at == 0);
        }
    }
}
