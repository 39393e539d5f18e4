//! One duty on (item, parts, copy, generation): the only thing with a life cycle.
//!
//! Invariant: a stand changes by [`Stand::after`] alone, and every pair is spelled out there. Rejected: a "done"
//! flag, and states per system kind.

use std::sync::{Arc, LazyLock};

use blake3::hazmat::{ContextKey, HasherExt, hash_derive_key_context};
use serde::{Deserialize, Serialize};

use crate::identity::ItemId;
use crate::time::{Millis, Moment};
use crate::verdict::Action;
use crate::word::Word;

/// Where a duty stands. Never a bare "done".
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stand {
    Owed,
    Ordered,
    Accepted,
    /// The target said it is done; nobody else has looked.
    Executed,
    /// An independent read-back saw it gone.
    Verified,
    /// By a hold, a statutory minimum or a store's own lock.
    Blocked,
    /// Gone but for what expires by itself.
    Residual,
    Refused,
    OutOfReach,
    Failed,
    /// Would have been ordered; its system is in observe mode.
    Observed,
    /// No longer owed: the rules, a hold or a newer duty took its place.
    Withdrawn,
}

/// What can happen to a duty.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    Order,
    Accept,
    Execute,
    ReadGone,
    ReadFound,
    Block,
    /// Gone once, before what it is made of: it goes once more after that.
    Again,
    /// Nothing stands in its way any more.
    Release,
    Reside,
    Refuse,
    PutOutOfReach,
    Fail,
    /// Its system went to observe mode.
    Observe,
    Withdraw,
}

impl Stand {
    pub const ALL: [Stand; 12] = [
        Self::Owed,
        Self::Ordered,
        Self::Accepted,
        Self::Executed,
        Self::Verified,
        Self::Blocked,
        Self::Residual,
        Self::Refused,
        Self::OutOfReach,
        Self::Failed,
        Self::Observed,
        Self::Withdrawn,
    ];

    /// The transition table. None = this cannot happen here; the record that claims it is ignored and counted.
    pub fn after(self, event: Event) -> Option<Stand> {
        use Event::*;
        use Stand::*;
        match (self, event) {
            (Owed, Order) => Some(Ordered),
            (Owed, Block) => Some(Blocked),
            (Owed, Refuse) => Some(Refused),
            (Owed, PutOutOfReach) => Some(OutOfReach),
            (Owed, Observe) => Some(Observed),
            (Owed, Withdraw) => Some(Withdrawn),
            (Owed, Accept | Execute | ReadGone | ReadFound | Again | Release | Reside | Fail) => None,

            (Ordered, Accept) => Some(Accepted),
            (Ordered, Again) => Some(Owed),
            (Ordered, Execute) => Some(Executed),
            // Absent at the first look, and nothing under the subject's identities either: it was gone already.
            (Ordered, ReadGone) => Some(Verified),
            (Ordered, ReadFound | Fail) => Some(Failed),
            // The gate stopped it before its commit.
            (Ordered, Block) => Some(Blocked),
            (Ordered, Reside) => Some(Residual),
            (Ordered, Refuse) => Some(Refused),
            (Ordered, PutOutOfReach) => Some(OutOfReach),
            (Ordered, Order | Release | Observe | Withdraw) => None,

            (Accepted, Execute) => Some(Executed),
            (Accepted, Again) => Some(Owed),
            (Accepted, ReadGone) => Some(Verified),
            (Accepted, ReadFound | Fail) => Some(Failed),
            (Accepted, Block) => Some(Blocked),
            (Accepted, Reside) => Some(Residual),
            (Accepted, Refuse) => Some(Refused),
            (Accepted, PutOutOfReach) => Some(OutOfReach),
            (Accepted, Order | Accept | Release | Observe | Withdraw) => None,

            (Executed, ReadGone) => Some(Verified),
            // It said executed and lied.
            (Executed, ReadFound) => Some(Failed),
            (Executed, Reside) => Some(Residual),
            (Executed, Order | Accept | Execute | Block | Release | Refuse | Again) => None,
            (Executed, PutOutOfReach | Fail | Observe | Withdraw) => None,

            // What comes back later is a new duty of the next round.
            (Verified, Order | Accept | Execute | ReadGone | ReadFound | Block | Release | Again) => None,
            (Verified, Reside | Refuse | PutOutOfReach | Fail | Observe | Withdraw) => None,

            (Blocked, Release) => Some(Owed),
            (Blocked, Block) => Some(Blocked),
            (Blocked, Observe) => Some(Observed),
            (Blocked, Withdraw) => Some(Withdrawn),
            (Blocked, Order | Accept | Execute | ReadGone | ReadFound | Again) => None,
            (Blocked, Reside | Refuse | PutOutOfReach | Fail) => None,

            (Residual, ReadGone) => Some(Verified),
            (Residual, ReadFound) => Some(Failed),
            (Residual, Reside) => Some(Residual),
            (Residual, Order | Accept | Execute | Block | Release | Again) => None,
            (Residual, Refuse | PutOutOfReach | Fail | Observe | Withdraw) => None,

            // Owed again at the next sweep after its cause is mended.
            (Refused, Release) => Some(Owed),
            (Refused, Block) => Some(Blocked),
            (Refused, Observe) => Some(Observed),
            (Refused, Withdraw) => Some(Withdrawn),
            (Refused, Order | Accept | Execute | ReadGone | ReadFound | Again) => None,
            (Refused, Reside | Refuse | PutOutOfReach | Fail) => None,

            (OutOfReach, Withdraw) => Some(Withdrawn),
            (OutOfReach, Order | Accept | Execute | ReadGone | ReadFound | Block | Release | Again) => None,
            (OutOfReach, Reside | Refuse | PutOutOfReach | Fail | Observe) => None,

            (Failed, Release) => Some(Owed),
            (Failed, Block) => Some(Blocked),
            (Failed, Observe) => Some(Observed),
            (Failed, Withdraw) => Some(Withdrawn),
            // The late answer of an attempt that was given up: the read-back decides, not the answer.
            (Failed, ReadGone) => Some(Verified),
            (Failed, Order | Accept | Execute | ReadFound | Again) => None,
            (Failed, Reside | Refuse | PutOutOfReach | Fail) => None,

            (Observed, Release) => Some(Owed),
            (Observed, Block) => Some(Blocked),
            (Observed, Withdraw) => Some(Withdrawn),
            (Observed, Order | Accept | Execute | ReadGone | ReadFound | Again) => None,
            (Observed, Reside | Refuse | PutOutOfReach | Fail | Observe) => None,

            // The same duty may come to be owed again before it was ever carried out.
            (Withdrawn, Release) => Some(Owed),
            (Withdrawn, Block) => Some(Blocked),
            (Withdrawn, Observe) => Some(Observed),
            (Withdrawn, Order | Accept | Execute | ReadGone | ReadFound | Again) => None,
            (Withdrawn, Reside | Refuse | PutOutOfReach | Fail | Withdraw) => None,
        }
    }

    /// A command is out, or its effect is being read back: nothing else may be sent to this item and system.
    pub fn is_out(self) -> bool {
        match self {
            Self::Ordered | Self::Accepted => true,
            Self::Owed | Self::Executed | Self::Verified | Self::Blocked | Self::Residual => false,
            Self::Refused | Self::OutOfReach | Self::Failed | Self::Observed | Self::Withdrawn => false,
        }
    }

    /// The data is gone, as far as the target says or a read-back saw.
    pub fn is_gone(self) -> bool {
        match self {
            Self::Executed | Self::Verified => true,
            Self::Owed | Self::Ordered | Self::Accepted | Self::Blocked | Self::Residual => false,
            Self::Refused | Self::OutOfReach | Self::Failed | Self::Observed | Self::Withdrawn => false,
        }
    }
}

/// Names a duty, and the command that carries it out: nothing is ordered twice.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct ObligationId(pub [u8; 16]);

impl std::fmt::Debug for ObligationId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "cm_{}", data_encoding::HEXLOWER.encode(&self.0))
    }
}

impl std::fmt::Display for ObligationId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Debug::fmt(self, f)
    }
}

static ID_KEY: LazyLock<ContextKey> =
    LazyLock::new(|| hash_derive_key_context("quietus 2026 obligation id v1"));

impl ObligationId {
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// hash(SubjectKey, ItemKey, generation, copy, parts, duty, round), every field length-prefixed.
    pub fn of(
        item: ItemId,
        generation: u32,
        place: &Place,
        parts: &[String],
        duty: Duty,
        round: u32,
    ) -> Self {
        // The hash is fed at once: many small pieces cost more than the hash.
        let mut bytes = Vec::with_capacity(512);
        let mut field = |field: &[u8]| {
            bytes.extend_from_slice(&(field.len() as u64).to_le_bytes());
            bytes.extend_from_slice(field);
        };
        field(&item.subject.0);
        field(&item.item.0);
        field(&generation.to_le_bytes());
        field(place.system.as_bytes());
        field(place.dataset.as_bytes());
        field(&place.cell);
        field(&(parts.len() as u64).to_le_bytes());
        parts.iter().for_each(|p| field(p.as_bytes()));
        field(&[duty.code()]);
        field(&round.to_le_bytes());
        // A hasher that is copied is two kilobytes.
        let hash = blake3::Hasher::new_from_context_key(&ID_KEY).update(&bytes).finalize();
        let mut id = [0; 16];
        id.iter_mut().zip(hash.as_bytes()).for_each(|(to, from)| *to = *from);
        Self(id)
    }
}

/// Where a copy lies.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Place {
    pub system: Word,
    pub dataset: Word,
    /// The sealed locator.
    #[serde(with = "serde_bytes")]
    pub cell: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Duty {
    /// The record as a whole.
    Delete,
    /// These parts, in place.
    Change(Action),
    /// These parts take new values.
    Correct,
}

impl Duty {
    fn code(self) -> u8 {
        match self {
            Self::Delete => 0,
            Self::Change(Action::Restrict) => 1,
            Self::Change(Action::Mask) => 2,
            Self::Change(Action::Pseudonymise) => 3,
            Self::Change(Action::Anonymise) => 4,
            Self::Change(Action::Erase) => 5,
            Self::Correct => 6,
        }
    }
}

/// Why a duty exists.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    Sweep(Word),
    Request(Word),
    /// It came back after it was erased.
    Resurrection,
    /// A restore may have brought it back.
    Reapply(Word),
    /// An event says that the values are others now.
    Correction,
    /// A copy that became known after its item's end.
    LateCopy,
}

/// What stands in the way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Block {
    /// Ids of the holds.
    Hold(Vec<String>),
    Minimum {
        until: Millis,
        rule: String,
        law: Option<String>,
    },
    /// The store's own lock.
    Lock {
        until: Option<Millis>,
    },
    /// Its system knows the person and not the record, and something else of theirs is still to be kept there.
    Others {
        until: Option<Millis>,
    },
}

/// What ends by itself later: a backup's rotation, a cache's expiry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Residue {
    /// None = nobody knows when.
    pub until: Option<Millis>,
    pub cause: String,
}

/// A duty with everything that is known about it. What many duties have in common they share.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Obligation {
    pub id: ObligationId,
    pub item: ItemId,
    pub generation: u32,
    pub place: Place,
    /// Categories. Sorted.
    #[serde(with = "crate::word::list")]
    pub parts: Arc<[String]>,
    pub duty: Duty,
    /// How often its copy came back; of a correction its place among the partition's corrections.
    pub round: u32,
    pub cause: Cause,
    pub stand: Stand,
    pub block: Option<Block>,
    /// Attempts made.
    pub attempt: u32,
    /// Attempts made since it was last owed anew; bounds the retries of one sweep.
    pub tries: u32,
    /// Not sent before this: cool-down, back-off.
    pub not_before: Option<Millis>,
    /// Of the command that is out: nothing is committed past this.
    pub not_after: Option<Millis>,
    /// The rule that made it due.
    pub rule: Option<Word>,
    /// A reason, a failure: never a value of the target.
    pub detail: Option<String>,
    pub may_retry: bool,
    /// What to poll with.
    pub reference: Option<String>,
    /// Read-backs that could not read, since it was executed.
    pub unread: u32,
    /// An attempt was made that might have happened, as far as anyone knows.
    pub uncertain: bool,
    /// Absent at the first attempt: waits for the read-back by identity.
    pub absent: bool,
    /// Gone once, before what it is made of; it goes once more after that.
    pub evicted: bool,
    /// Its partner says that it is carried out: the read-back decides, not the partner.
    pub claimed: bool,
    /// Nobody can look there: what its system said of itself is the last word.
    pub confirmed: bool,
    /// Of what was accepted: without an answer by then it is tried again.
    pub deadline: Option<Millis>,
    /// What is left where it stands `Residual`.
    pub residue: Option<Residue>,
    /// Of a correction: the new values, sealed as one cell; `parts` says which of them are meant here.
    pub values: Option<Vec<u8>>,
    pub opened: Millis,
    /// The moment it was judged at; before it goes out it is judged once more at that moment, by what is known then.
    pub judged: Moment,
    /// When its command was first let go, as long as that may have happened for all that is known (a row that a look finds
    /// may be a new one): a record that begins later is another record.
    pub sent: Option<Millis>,
    pub executed: Option<Millis>,
    pub verified: Option<Millis>,
    /// The target's own clock and log position at commit.
    pub target_at: Option<Millis>,
    pub target_position: Option<String>,
    /// `traceparent` of what caused it.
    pub trace: Option<Word>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::{ItemKey, SubjectKey};

    #[test]
    fn nothing_leads_out_of_verified() {
        let events = [Event::Order, Event::Release, Event::Withdraw, Event::ReadFound, Event::Fail];
        assert!(events.iter().all(|e| Stand::Verified.after(*e).is_none()));
    }

    #[test]
    fn only_a_read_back_verifies() {
        use Event::*;
        let others = [
            Order,
            Accept,
            Execute,
            ReadFound,
            Again,
            Block,
            Release,
            Reside,
            Refuse,
            PutOutOfReach,
            Fail,
            Observe,
            Withdraw,
        ];
        for stand in Stand::ALL {
            assert!(others.iter().all(|e| stand.after(*e) != Some(Stand::Verified)), "{stand:?}");
        }
    }

    #[test]
    fn nothing_is_ordered_but_what_is_owed() {
        for stand in Stand::ALL {
            assert_eq!(stand.after(Event::Order).is_some(), stand == Stand::Owed, "{stand:?}");
        }
    }

    #[test]
    fn the_id_tells_every_field_apart() {
        let item = ItemId { subject: SubjectKey([1; 16]), item: ItemKey([2; 16]) };
        let place = Place { system: "a".into(), dataset: "bc".into(), cell: vec![1] };
        let moved = Place { system: "ab".into(), dataset: "c".into(), cell: vec![1] };
        let parts = ["user.name".to_owned()];
        let id =
            |p: &Place, parts: &[String], round| ObligationId::of(item, 1, p, parts, Duty::Delete, round);
        assert_eq!(id(&place, &parts, 0), id(&place, &parts, 0));
        assert_ne!(id(&place, &parts, 0), id(&moved, &parts, 0));
        assert_ne!(id(&place, &parts, 0), id(&place, &parts, 1));
        assert_ne!(id(&place, &parts, 0), id(&place, &[], 0));
    }

    /// Commands carry it, and what was ordered once must be known again by every later version.
    #[test]
    fn an_id_is_frozen() {
        let item = ItemId { subject: SubjectKey([1; 16]), item: ItemKey([2; 16]) };
        let place = Place { system: "shop-db".into(), dataset: "shop.orders".into(), cell: vec![3; 27] };
        let id = ObligationId::of(item, 4, &place, &["user.name".to_owned()], Duty::Delete, 5);
        assert_eq!(format!("{id:?}"), "cm_38e1b9603782bb8bd00552124df10085");
    }
}
