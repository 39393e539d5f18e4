//! What is known about items and subjects: facts and changes appended without reading, looked up by item and by
//! subject, shown slice by slice.
//!
//! [`memory`] is the reference: the model that every other store must equal in every answer and in the digest.
//! [`disk`] keeps rows in sorted runs, and answers by handing those that a question concerns to a small reference.
//! A store that cannot read what it wrote guesses nothing: the process ends, see [`disk::StoreError`].

mod beside;
mod census;
pub mod disk;
pub mod memory;

use quietus_core::digest::Digest;
use quietus_core::engine::{Found, Needs, Row, Sieve};
use quietus_core::identity::{ItemId, ShownItem, SubjectKey};
use quietus_core::item::Subject;
use quietus_core::life::Lives;

pub use beside::{Beside, DutyRow, Lies, Unkept};
pub use census::{Census, How, Matters, Said};
pub use disk::{
    Apart, Copies, Database, DiskStore, LaidOut, Laying, Merge, Merged, Naming, REWRITE_ABOVE, Rewrite,
    Sizes, Snapshot, StoreError, part_of,
};
pub(crate) use disk::{KeyMap, KeySet};
pub use memory::MemoryStore;

/// Items read for a pass, not all of them shown yet.
#[derive(Debug)]
pub enum Part {
    Rows(disk::Rows),
    Whole(Option<MemoryStore>),
}

/// One partition's items and subjects.
pub trait Store: Send + Sync + std::fmt::Debug {
    /// Appends a row; never reads first.
    fn put(&mut self, row: &Row);

    /// Appends rows in order.
    fn write(&mut self, rows: &[Row]) {
        rows.iter().for_each(|row| self.put(row));
    }

    /// Frames whose rows, and what lies beside them, outlive the process; None = none ever do.
    fn kept(&self) -> Option<u64> {
        None
    }

    /// What came since has become much. `beside` = rows that wait beside the store, `applied` = frames that are in.
    fn is_full(&self, _beside: usize, _applied: u64) -> bool {
        false
    }

    /// Between two frames: brings everything to disk under one root. An error changes nothing: it is tried again
    /// when there is more.
    fn flush(&mut self, _applied: u64, _beside: Unkept<'_>) -> Result<(), StoreError> {
        Ok(())
    }

    /// In the middle of a frame that concerns every item: brings duties at rest to disk, under no root until the next
    /// flush; what is under way stays in memory until then.
    fn spill(&mut self, _: &mut dyn Iterator<Item = Result<DutyRow, StoreError>>) -> Result<(), StoreError> {
        Ok(())
    }

    /// So many duties are worth it.
    fn spill_at(&self) -> usize {
        usize::MAX
    }

    /// A duty at rest, by its id. It may be under way again: then this is how it stood before.
    fn duty(&self, _: [u8; 16]) -> Option<DutyRow> {
        None
    }

    /// Duties at rest of a subject's items.
    fn duties_of(&self, _: SubjectKey) -> Vec<DutyRow> {
        Vec::new()
    }

    /// Duties in memory from which on those at rest leave it.
    fn duties_held(&self) -> usize {
        usize::MAX
    }

    /// Ends this process, as whenever a store cannot read what it wrote.
    fn unreadable(&self, what: &str) -> ! {
        tracing::error!(what, "the store holds something that cannot be read: this node ends here");
        std::process::exit(3)
    }

    /// Into how many parts duties at rest are cut, where all of them are looked at.
    fn duty_parts(&self) -> u64 {
        1
    }

    /// Duties at rest of part `n` of `of`, by (subject, id): the parts of [`Store::part`], where as many are asked for.
    fn duties_in(&self, _n: u64, _of: u64) -> Vec<DutyRow> {
        Vec::new()
    }

    /// Something should be merged.
    fn is_crowded(&self) -> bool {
        false
    }

    /// A plan had to read what [`Store::begin_resolving`] would have told it.
    fn wants_resolved(&self) -> bool {
        false
    }

    /// What persons have is to be joined: run and handed back as a merge, of which there is one at a time.
    fn begin_resolving(&mut self) -> Option<Merge> {
        None
    }

    /// Something is.
    fn is_merging(&self) -> bool {
        false
    }

    /// Roots that are kept as they were, oldest first: two at most.
    fn snapshots(&self) -> Vec<Snapshot> {
        Vec::new()
    }

    /// Nothing that the root names, which was just made and which this describes, is dropped from here on: to be named
    /// beside the store, then handed back. None = none is kept here.
    fn begin_snapshot(&mut self, _: Snapshot) -> Result<Option<Naming>, StoreError> {
        Ok(None)
    }

    /// It is one of those that are kept, if it got its name; the older of two goes.
    fn end_snapshot(&mut self, _: Naming, named: Result<(), StoreError>) -> Result<(), StoreError> {
        named
    }

    /// The newest snapshot, to be copied to a file of its own beside the store; None = none is kept here. As long as it
    /// is copied no other may be taken.
    fn newest_apart(&self) -> Option<Apart> {
        None
    }

    /// What was at a snapshot, to be written to in memory alone; None = none is kept here. As long as somebody looks
    /// at it no other may be taken.
    fn look_back(&self, _: &Snapshot) -> Result<Option<DiskStore>, StoreError> {
        Ok(None)
    }

    /// What should be merged now, if anything: to be run beside the store, then handed back.
    fn begin_merge(&mut self) -> Option<Merge> {
        None
    }

    /// Lets what was merged take the place of what it was merged from.
    fn end_merge(&mut self, _: Merge, _: Result<Merged, StoreError>) -> Result<(), StoreError> {
        Ok(())
    }

    /// Looks up what the engine asks for before it decides a record. Not everything: that is shown in slices.
    fn fetch(&self, needs: &Needs) -> Found;

    fn lives(&self, id: ItemId) -> Option<Lives>;

    /// The item an `it_…` names, if it lives here.
    fn shown(&self, shown: ShownItem) -> Option<ItemId>;

    /// Items of a subject, in key order.
    fn items_of(&self, subject: SubjectKey) -> Vec<ItemId>;

    fn subject(&self, key: SubjectKey) -> Option<Subject>;

    /// The sealed identity of a subject.
    fn identity(&self, key: SubjectKey) -> Option<Vec<u8>>;

    /// Into how many parts a pass over what the sieve lets through is cut.
    fn parts(&self, sieve: &Sieve<'_>) -> u64;

    /// What a pass of so many parts will be shown is worth being laid out.
    fn lays_out(&self, _of: u64) -> bool {
        false
    }

    /// Before such a pass: it is laid out beside the store. Between this and [`Store::end_laying`] each part says what it
    /// asks for.
    fn begin_laying(&mut self, _: &Sieve<'_>, _of: u64) -> Option<Laying> {
        None
    }

    fn ask_for(&self, _: &Sieve<'_>, _n: u64, _: &mut Laying) {}

    fn end_laying(&mut self) -> Result<(), StoreError> {
        Ok(())
    }

    /// Part `n` of `of`, in key order, no subject in two parts, and of that part the items in `also`, whatever the sieve
    /// says of them. What is written meanwhile may be in it or not.
    fn part(&self, sieve: &Sieve<'_>, also: &[ItemId], part: (u64, u64), laid: Option<&LaidOut>) -> Part;

    /// The next items of a part, in key order; None = there are no more.
    fn next(&self, part: &mut Part) -> Option<MemoryStore>;

    /// What the sieve lets through in key order, no subject in two slices.
    fn slices(&self, sieve: &Sieve<'_>, visit: &mut dyn FnMut(&MemoryStore)) {
        let of = self.parts(sieve);
        for n in 0..of {
            let mut part = self.part(sieve, &[], (n, of), None);
            while let Some(slice) = self.next(&mut part) {
                visit(&slice);
            }
        }
    }

    /// Into how many parts [`Store::alive_in`] is cut.
    fn alive_parts(&self) -> u64 {
        1
    }

    /// Subjects of part `n` of `of` with an item that lives.
    fn alive_in(&self, n: u64, of: u64) -> u64;

    /// …of all parts.
    fn subjects_alive(&self) -> u64 {
        let of = self.alive_parts();
        (0..of).map(|n| self.alive_in(n, of)).sum()
    }

    /// Every item with its subject, in key order.
    fn each(&self, visit: &mut dyn FnMut(&Lives, &Subject)) {
        self.sift(&Sieve::Everything, visit);
    }

    /// Every item that the sieve lets through, and some that it does not, with its subject, in key order.
    fn sift(&self, sieve: &Sieve<'_>, visit: &mut dyn FnMut(&Lives, &Subject)) {
        self.slices(sieve, &mut |slice| slice.each_here(visit));
    }

    /// Every item: counted by shape and start where nothing else matters, else shown whole, in no order.
    fn census(&self, census: &mut dyn Census) {
        self.each(&mut |lives, subject| census.whole(lives, subject));
    }

    /// Every row in key order.
    fn digest(&self, digest: &mut Digest) {
        self.slices(&Sieve::Everything, &mut |slice| slice.digest_here(digest));
    }
}
