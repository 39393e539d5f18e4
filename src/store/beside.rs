//! What a partition knows beside its rows, as bytes: it lies under the same root as they do.

use quietus_core::identity::SubjectKey;

use super::StoreError;

/// Given back by a store that was opened again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Beside {
    /// Takes the place of the one before.
    pub state: Vec<u8>,
    /// Goes behind the entries that are there.
    pub entries: Vec<u8>,
    /// Hashes of events that were taken in, oldest first; those of long ago are forgotten.
    pub events: Vec<u64>,
}

/// A duty as it stands.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DutyRow {
    pub id: [u8; 16],
    pub subject: SubjectKey,
    pub lies: Lies,
    pub bytes: Vec<u8>,
}

/// Among which duties one lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lies {
    /// Read by a start alone.
    UnderWay,
    /// Looked for by its id and its subject.
    AtRest,
    /// The same, and so far it lay among the others.
    AtRestNow,
    /// Nowhere any more.
    Nowhere,
}

/// The same as it is handed to a flush: a sweep moves more duties than should lie in memory twice.
pub struct Unkept<'a> {
    pub state: Vec<u8>,
    /// Those that moved, by (subject, id), each once.
    pub duties: Box<dyn Iterator<Item = Result<DutyRow, StoreError>> + 'a>,
    pub entries: Vec<u8>,
    pub events: Vec<u64>,
}

impl From<Beside> for Unkept<'_> {
    fn from(all: Beside) -> Self {
        let Beside { state, entries, events } = all;
        Self { state, duties: Box::new(std::iter::empty()), entries, events }
    }
}

impl std::fmt::Debug for Unkept<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Unkept").finish_non_exhaustive()
    }
}
