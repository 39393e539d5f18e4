//! How long it takes to look something up in a filled store: a row's verdict, a person's items, a row nobody told of.

use std::collections::BTreeMap;
use std::time::Instant;

use serde::Serialize;
use serde_json::json;

use super::BenchError;
use super::load::{Load, OF_PERSON, mixed};
use super::usage::{percentile, sorted};
use crate::node::{Node, Wanted};

/// Look-ups of each kind.
const OF_EACH: u64 = 10_000;

#[derive(Clone, Copy, Debug, Serialize)]
pub struct LookUps {
    /// By system, dataset and primary key: every rule that applies, the winner, the date.
    pub explained: Times,
    /// Which items a person has.
    pub person: Times,
    /// A row that was never recorded.
    pub unknown: Times,
}

/// In microseconds.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Times {
    pub p50_us: f64,
    pub p99_us: f64,
    pub worst_us: f64,
}

/// The node has taken in the load. Each kind goes over the whole of it, in no order.
pub(super) fn run(node: &Node, load: &Load) -> Result<LookUps, BenchError> {
    Ok(LookUps {
        explained: times(|n| {
            let item = load.item(mixed(n) % load.items);
            let found = node.find(&at(node, item.class, item.n)?);
            Ok((node.explain_all(&found, None)?.len(), 1))
        })?,
        person: times(|n| {
            let person = mixed(n ^ 0x9e75) % (load.items / OF_PERSON);
            let who = node.subject_of(&format!("customer_id:{person}"), "subject")?;
            Ok((node.find(&Wanted::Subject(who.key)).len(), OF_PERSON as usize))
        })?,
        unknown: times(|n| Ok((node.find(&at(node, 0, load.items + n)?).len(), 0)))?,
    })
}

fn at(node: &Node, class: u64, n: u64) -> Result<Wanted, BenchError> {
    let locator = BTreeMap::from([("id".to_owned(), json!(n))]);
    Ok(node.item_at("shop-db", &format!("shop.t{class}"), &locator)?)
}

/// `look` says how much it found and how much there is.
fn times(look: impl Fn(u64) -> Result<(usize, usize), BenchError>) -> Result<Times, BenchError> {
    let mut took = Vec::new();
    for n in 0..OF_EACH {
        let begun = Instant::now();
        let (found, there) = look(n)?;
        took.push(begun.elapsed().as_secs_f64() * 1e6);
        if found != there {
            return Err(BenchError::Wrong(format!("look-up {n} found {found} instead of {there}")));
        }
    }
    let took = sorted(took.into_iter());
    let [p50_us, p99_us, worst_us] = [50, 99, 100].map(|percent| percentile(&took, percent));
    Ok(Times { p50_us, p99_us, worst_us })
}
