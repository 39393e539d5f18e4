//! What the audit chain keeps of a decision, written and read again.
//!
//! The label of a leaf names its layout; a layout is never changed: a certificate of today is read in ten years.

use std::fmt::{Arguments, Display, Formatter};
use std::io::Write;

use crate::identity::{ItemId, ItemKey, SubjectKey};
use crate::obligation::{Obligation, Place};

use super::decision::{Decision, Noticed};

impl Decision {
    /// What the audit chain keeps of this decision: keyed hashes and names, never an identity. None for what is no
    /// decision about anyone (facts, ticks, marks).
    pub fn leaf(&self) -> Option<Vec<u8>> {
        let mut leaf = Leaf(Vec::with_capacity(512));
        let built = match self {
            Self::Opened(duty) => leaf.text("opened/1").duty(duty),
            Self::Moved { event, duty } => leaf.text("moved/1").shown(format_args!("{event:?}")).duty(duty),
            Self::Control { k, entry } => leaf.text("control/1").number(*k).text(entry.name()),
            Self::Requested(request) => {
                leaf.text("request/1").text(&request.id).text(request.kind.name()).bytes(&request.subject.0)
            }
            Self::Swept { sweep, slice } => {
                leaf.text("swept/1").text(sweep).number(slice.candidates).number(slice.due).bytes(&slice.root)
            }
            Self::Contested { subject, contested } => {
                leaf.text("contested/1").bytes(&subject.0).number(u64::from(*contested))
            }
            Self::Forgotten { before, gone } => leaf
                .text("forgotten/1")
                .bytes(&before.0.to_le_bytes())
                .number(gone.items)
                .number(gone.persons)
                .number(gone.requests),
            Self::Covered { hold, covered } => {
                leaf.text("covered/1").text(hold).number(covered.items).number(covered.copies())
            }
            Self::Noticed(Noticed::Resurrected { item, place }) => {
                leaf.text("resurrected/1").item(*item).place(place)
            }
            Self::Noticed(Noticed::Reborn { item, generation }) => {
                leaf.text("reborn/1").item(*item).number(u64::from(*generation))
            }
            Self::Noticed(Noticed::Breach { item, place, holds }) => {
                leaf.text("breach/1").item(*item).place(place).text(&holds.join(","))
            }
            Self::Noticed(Noticed::Late { item, place }) => leaf.text("late/1").item(*item).place(place),
            Self::Noticed(Noticed::Overdue { request }) => leaf.text("overdue/1").text(request),
            Self::Noticed(Noticed::PastDeadline { item, place }) => {
                leaf.text("past-deadline/1").item(*item).place(place)
            }
            Self::Noticed(Noticed::Echo { .. } | Noticed::Undeclared { .. }) => return None,
            Self::Began { .. }
            | Self::Now(_)
            | Self::Watermark { .. }
            | Self::Mark { .. }
            | Self::DeadLettered(_)
            | Self::DeadLetterClosed { .. }
            | Self::Wrote(_)
            | Self::Noted(_)
            | Self::Linked { .. }
            | Self::Claimed { .. }
            | Self::Doubted { .. }
            | Self::PassedOn { .. }
            | Self::Delivered { .. }
            | Self::Told { .. }
            | Self::Received { .. }
            | Self::RequestsForgotten { .. }
            | Self::Forgot { .. }
            | Self::Ignored { .. } => return None,
        };
        Some(std::mem::take(&mut built.0))
    }
}

/// Length-prefixed fields, so that no two decisions have the same bytes.
struct Leaf(Vec<u8>);

impl Leaf {
    fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
        self.0.extend_from_slice(bytes);
        self
    }

    fn text(&mut self, text: &str) -> &mut Self {
        self.bytes(text.as_bytes())
    }

    /// A text that is made in its place.
    fn shown(&mut self, words: Arguments<'_>) -> &mut Self {
        let at = self.0.len();
        self.0.extend_from_slice(&[0; 8]);
        // A vector takes everything.
        let _ = self.0.write_fmt(words);
        let length = (self.0.len() - at - 8) as u64;
        if let Some(place) = self.0.get_mut(at..at + 8) {
            place.copy_from_slice(&length.to_le_bytes());
        }
        self
    }

    fn number(&mut self, number: u64) -> &mut Self {
        self.bytes(&number.to_le_bytes())
    }

    fn item(&mut self, item: ItemId) -> &mut Self {
        self.bytes(&item.subject.0).bytes(&item.item.0)
    }

    fn place(&mut self, place: &Place) -> &mut Self {
        self.text(&place.system).text(&place.dataset).bytes(&place.cell)
    }

    fn duty(&mut self, duty: &Obligation) -> &mut Self {
        self.bytes(&duty.id.0)
            .item(duty.item)
            .number(u64::from(duty.generation))
            .place(&duty.place)
            .shown(format_args!("{}", Joined(&duty.parts)))
            .shown(format_args!("{:?}", duty.duty))
            .number(u64::from(duty.round))
            .shown(format_args!("{:?}", duty.stand))
            .number(u64::from(duty.attempt))
            .text(duty.rule.as_deref().unwrap_or_default())
    }
}

/// Words with commas between them.
struct Joined<'a>(&'a [String]);

impl Display for Joined<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        for (n, word) in self.0.iter().enumerate() {
            f.write_str(if n == 0 { "" } else { "," })?;
            f.write_str(word)?;
        }
        Ok(())
    }
}

/// A leaf as it is read again; what is not asked about is `Other`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    Duty(DutyTold),
    Request { id: String, kind: String, subject: SubjectKey },
    Swept { sweep: String, candidates: u64, due: u64 },
    Other { label: String },
}

/// A duty as it stood after the decision; words as they were when it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DutyTold {
    pub id: [u8; 16],
    pub item: ItemId,
    pub system: String,
    pub dataset: String,
    pub parts: String,
    pub duty: String,
    pub stand: String,
    pub attempt: u64,
    /// Empty = no rule made it due.
    pub rule: String,
}

impl Told {
    /// None = this is no leaf of ours.
    pub fn read(leaf: &[u8]) -> Option<Self> {
        let mut rest = Fields(leaf);
        let told = match rest.text()?.as_str() {
            "opened/1" => Self::Duty(rest.duty()?),
            "moved/1" => {
                rest.text()?;
                Self::Duty(rest.duty()?)
            }
            "request/1" => Self::Request {
                id: rest.text()?,
                kind: rest.text()?,
                subject: SubjectKey::from_slice(rest.bytes()?)?,
            },
            "swept/1" => {
                let told =
                    Self::Swept { sweep: rest.text()?, candidates: rest.number()?, due: rest.number()? };
                rest.bytes()?;
                told
            }
            // Its fields are not looked at.
            label => return Some(Self::Other { label: label.to_owned() }),
        };
        rest.0.is_empty().then_some(told)
    }
}

/// What [`Leaf`] wrote, field by field.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn bytes(&mut self) -> Option<&'a [u8]> {
        let (length, rest) = self.0.split_first_chunk::<8>()?;
        let (head, tail) = rest.split_at_checked(usize::try_from(u64::from_le_bytes(*length)).ok()?)?;
        self.0 = tail;
        Some(head)
    }

    fn number(&mut self) -> Option<u64> {
        Some(u64::from_le_bytes(self.bytes()?.try_into().ok()?))
    }

    fn text(&mut self) -> Option<String> {
        std::str::from_utf8(self.bytes()?).ok().map(str::to_owned)
    }

    fn duty(&mut self) -> Option<DutyTold> {
        let id = self.bytes()?.try_into().ok()?;
        let subject = SubjectKey::from_slice(self.bytes()?)?;
        let item = ItemId { subject, item: ItemKey::from_slice(self.bytes()?)? };
        self.number()?;
        let (system, dataset) = (self.text()?, self.text()?);
        self.bytes()?;
        let (parts, duty) = (self.text()?, self.text()?);
        self.number()?;
        let (stand, attempt, rule) = (self.text()?, self.number()?, self.text()?);
        Some(DutyTold { id, item, system, dataset, parts, duty, stand, attempt, rule })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Slice;

    #[test]
    fn a_leaf_is_read_as_it_was_written_and_nothing_else_is_one() {
        let slice = Slice { candidates: 3, due: 2, ..Slice::default() };
        let leaf = Decision::Swept { sweep: "sw_1".into(), slice }.leaf().unwrap();
        assert_eq!(Told::read(&leaf), Some(Told::Swept { sweep: "sw_1".into(), candidates: 3, due: 2 }));
        for cut in 0..leaf.len() {
            assert_eq!(Told::read(&leaf[..cut]), None, "cut at {cut}");
        }
        let longer = [leaf.as_slice(), &[0]].concat();
        assert_eq!(Told::read(&longer), None);
        let subject = SubjectKey([3; 16]);
        let other = Decision::Contested { subject, contested: true }.leaf().unwrap();
        assert_eq!(Told::read(&other), Some(Told::Other { label: "contested/1".into() }));
    }
}
