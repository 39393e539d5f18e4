//! Every kind of block read from bytes that nobody vouches for: for `fuzz/`, which has no other way in.
//!
//! Invariant: what can be read is written and read again the same, whatever else the bytes might have been.

use quietus_core::identity::{ItemKey, SubjectKey};
use quietus_core::life::What;

use super::bytes::{Reader, Writer};
use super::change;
use super::directory::Directory;
use super::joined::{self, Had};
use super::page::{self, Body, PageRow};
use super::root::List;
use super::row::{Family, Stored};
use super::shapes::Shapes;
use crate::store::Said;

/// What bytes are taken for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Facts,
    Changes,
    Identities,
    Change,
    Shapes,
    Directory,
    List,
    /// What a person has and said.
    Resolved,
}

impl Kind {
    pub const ALL: [Self; 8] = [
        Self::Facts,
        Self::Changes,
        Self::Identities,
        Self::Change,
        Self::Shapes,
        Self::Directory,
        Self::List,
        Self::Resolved,
    ];
}

/// Whether what the bytes say is the same once written and read again; None = they say nothing.
pub fn reads_again(kind: Kind, bytes: &[u8]) -> Option<bool> {
    match kind {
        Kind::Facts => page_reads_again(Family::Facts, bytes),
        Kind::Changes => page_reads_again(Family::Changes, bytes),
        Kind::Identities => page_reads_again(Family::Identities, bytes),
        Kind::Change => {
            let what = change_of(bytes)?;
            let mut out = Writer::default();
            change::write(&mut out, &what);
            Some(change_of(&out.0).as_ref() == Some(&what))
        }
        Kind::Shapes => {
            let written = shapes_of(bytes)?.write(0);
            Some(shapes_of(&written).is_some_and(|again| again.write(0) == written))
        }
        Kind::Directory => {
            let directory = Directory::decode(bytes)?;
            Some(Directory::decode(&directory.encode()).as_ref() == Some(&directory))
        }
        Kind::List => {
            let list = List::decode(bytes)?;
            Some(List::decode(&list.encode()).as_ref() == Some(&list))
        }
        Kind::Resolved => {
            let (said, facts) = joined_of(bytes)?;
            let written = joined::written(said.iter().copied(), &facts);
            Some(joined_of(&written)? == (said, facts))
        }
    }
}

fn joined_of(bytes: &[u8]) -> Option<(Vec<Said<'_>>, Vec<Had>)> {
    let (mut said, mut facts) = (Vec::new(), Vec::new());
    joined::read(bytes, &mut |one| said.push(one), &mut |had| facts.push(had))?;
    Some((said, facts))
}

fn change_of(bytes: &[u8]) -> Option<What> {
    change::read(&mut Reader(bytes), SubjectKey([1; 16]), Some(ItemKey([2; 16])))
}

fn shapes_of(bytes: &[u8]) -> Option<Shapes> {
    let mut shapes = Shapes::default();
    shapes.read(bytes)?;
    Some(shapes)
}

/// Every row of the page that is a row, once more.
fn page_reads_again(family: Family, bytes: &[u8]) -> Option<bool> {
    // One empty shape, so that a fact of shape 0 is one.
    let mut shapes = shapes_of(&[0; 6])?;
    let rows = page::read(bytes, family, &mut |_| true)?;
    let same = rows.iter().all(|row| {
        let Some(stored) = stored(row) else { return true };
        let Some(read) = stored.row(family, &shapes) else { return true };
        let (again, written) = Stored::of(stored.seq, &read, &mut shapes);
        again == family && written.row(family, &shapes).as_ref() == Some(&read)
    });
    Some(same)
}

fn stored(row: &PageRow<'_>) -> Option<Stored> {
    let PageRow { seq, subject, item, shape, start, .. } = *row;
    match row.body {
        Body::Here(body) => Some(Stored { seq, subject, item, shape, start, body: body.to_vec() }),
        Body::Far { .. } => None,
    }
}
