//! What is known about items and subjects: facts and changes appended without reading, looked up by item and by
//! subject, swept by what may be due.
//!
//! [`memory`] is the reference: rebuilt from the ledger at every start, and the model that every other store must
//! equal in every answer and in the digest.

pub mod memory;

use quietus_core::digest::Digest;
use quietus_core::engine::{Found, Needs, Row};
use quietus_core::identity::{ItemId, ShownItem, SubjectKey};
use quietus_core::item::Subject;
use quietus_core::life::Lives;

pub use memory::MemoryStore;

/// One partition's items and subjects.
pub trait Store: Send + Sync + std::fmt::Debug {
    /// Appends rows in order; never reads first.
    fn write(&mut self, rows: &[Row]);

    /// Looks up what the engine asks for before it decides a record.
    fn fetch(&self, needs: &Needs) -> Found;

    fn lives(&self, id: ItemId) -> Option<Lives>;

    /// The item an `it_…` names, if it lives here.
    fn shown(&self, shown: ShownItem) -> Option<ItemId>;

    /// Items of a subject, in key order.
    fn items_of(&self, subject: SubjectKey) -> Vec<ItemId>;

    fn subject(&self, key: SubjectKey) -> Option<Subject>;

    /// The sealed identity of a subject.
    fn identity(&self, key: SubjectKey) -> Option<Vec<u8>>;

    /// Every item, in key order.
    fn each(&self, visit: &mut dyn FnMut(&Lives));

    fn counts(&self) -> Counts;

    /// Every row in key order.
    fn digest(&self, digest: &mut Digest);
}

/// What lives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub subjects: u64,
    pub items: u64,
    pub copies: u64,
}
