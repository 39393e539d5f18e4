//! How far a sweep may go for an item: no further than every source that feeds it has been read.
//!
//! A source that stalled holds back what it feeds, and nothing else, until it moves or is retired.

use std::collections::BTreeMap;

use crate::engine::control::Source;
use crate::life::Life;
use crate::source::{Feeds, Format, From};
use crate::time::{Millis, Moment};

use super::state::State;

/// Beyond this age of its watermark a topic that nobody writes to is still told from one that nobody reads.
const GRACE: i64 = 10 * Millis::SECOND;

/// How far one source has been read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Read {
    /// Nothing that it feeds is swept.
    Stalled,
    UpTo(Millis),
}

/// How far a sweep may go, per shape.
#[derive(Clone, Debug, Default)]
pub struct Reach {
    all: Option<Read>,
    systems: BTreeMap<String, Read>,
}

impl Reach {
    pub fn of(state: &State) -> Self {
        let mut reach = Self::default();
        if state.heedless {
            return reach;
        }
        for (name, source) in &state.control.sources {
            if source.document.is_none() {
                continue;
            }
            let read = read_of(state, name, source);
            let lower = |known: &mut Read| *known = (*known).min(read);
            match source.parsed.as_ref().map(|s| s.feeds()) {
                Some(Feeds::Systems(systems)) => {
                    systems.into_iter().for_each(|system| lower(reach.systems.entry(system).or_insert(read)));
                }
                // What a newer version wrote may feed anything.
                Some(Feeds::All) | None => lower(reach.all.get_or_insert(read)),
            }
        }
        reach
    }

    /// As of when this item is swept; None = not at all.
    pub fn limit(&self, life: &Life, as_of: Millis) -> Option<Millis> {
        let copies = life.item.copies.iter().filter(|_| !self.systems.is_empty());
        let fed = copies.filter_map(|copy| self.systems.get(&*copy.system));
        match fed.chain(&self.all).min() {
            None => Some(as_of),
            Some(Read::Stalled) => None,
            Some(Read::UpTo(at)) => Some(as_of.min(*at)),
        }
    }
}

/// Now, as far as the sources that feed this item have been read here.
pub(super) fn moment(state: &State, life: &Life) -> Moment {
    Moment { now: state.now, read: Reach::of(state).limit(life, state.now).unwrap_or_default() }
}

/// How far a registered source has been read, by what its partition's owner knows.
pub fn read_of(state: &State, name: &str, source: &Source) -> Read {
    let Some(parsed) = &source.parsed else { return Read::Stalled };
    let settled = state.now.plus(-parsed.settle);
    if matches!(parsed.from, From::Http | From::File(_)) {
        return Read::UpTo(settled);
    }
    let Some(at) = state.watermarks.get(&(name.to_owned(), source.generation)).copied() else {
        return Read::Stalled;
    };
    // A topic's watermark lies behind by what is waited for; a database's is its own time.
    let oldest = match parsed.format {
        Format::Debezium => settled,
        Format::Json | Format::Avro | Format::Cloudevents | Format::Outbox => {
            settled.plus(-parsed.settle.max(GRACE))
        }
    };
    if at < oldest { Read::Stalled } else { Read::UpTo(at) }
}
