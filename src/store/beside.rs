//! What a partition knows beside its rows, as bytes: it lies under the same root as they do.

use quietus_core::identity::SubjectKey;

/// Handed to a flush, and given back by a store that was opened again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Beside {
    /// Takes the place of the one before.
    pub state: Vec<u8>,
    /// Of each duty the newest row counts.
    pub duties: Vec<DutyRow>,
    /// Goes behind the entries that are there.
    pub entries: Vec<u8>,
    /// Hashes of events that were taken in, oldest first; those of long ago are forgotten.
    pub events: Vec<u64>,
}

/// A duty as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DutyRow {
    pub id: [u8; 16],
    pub subject: SubjectKey,
    pub bytes: Vec<u8>,
}
