//! What the ledger holds: every record there is, one struct each.
//!
//! Each struct is one Avro record under `schemas/avro/<Name>/vN.avsc` and keeps to what Avro says without
//! unions of records: plain fields, nullable fields, unit enums, columns of bytes. A frame of the ledger carries
//! several of them, each with its schema id, so that every kind evolves by itself. Rejected: one large union, whose
//! branches could only evolve together, and a datum per fact (250 times the cost of a column).

mod answer;
mod change;
mod control;
mod dead_letter;
mod facts;
mod owner;
mod request;

pub use answer::{Answer, AnswerKind, Confirmed, FindingKind, Order, Ordered, ReadBack, Seen};
pub use change::{Change, ChangeKind, Changes, NamedCopy};
pub use control::{
    Acknowledged, ClockAccepted, EvidenceEnded, HoldEffective, HoldPlaced, HoldReleased, LinkLimit,
    NewsSwitch, PolicyPublished, PolicyStored, ReapplyOrdered, SourcePut, SweepAwaiting, SweepClosed,
    SweepOrdered, SweepSwitch, SystemMode, SystemPut, SystemRetired,
};
pub use dead_letter::{DeadLetterClosed, DeadLettered};
pub use facts::{Fact, Facts, Mark, Origin, Shape, ShapeCopy};
pub use owner::{ControlCopy, NewsTold, OwnerStarted, SourceAt, Tick};
pub use request::{Delivered, Forwarded, RequestMoved, RequestReceived};

use serde::{Deserialize, Serialize};

macro_rules! records {
    ($($(#[$doc:meta])* $id:literal $name:ident,)*) => {
        /// One record of the ledger.
        #[derive(Clone, Debug, PartialEq)]
        pub enum Record { $($(#[$doc])* $name($name),)* }

        impl Record {
            /// The schema id in the frame: (name, version), never reused.
            pub fn schema(&self) -> u16 {
                match self { $(Self::$name(_) => $id,)* }
            }

            /// The name of the Avro record, and of its folder under `schemas/avro`.
            pub fn name(&self) -> &'static str {
                match self { $(Self::$name(_) => stringify!($name),)* }
            }
        }

        $(impl From<$name> for Record {
            fn from(body: $name) -> Self { Self::$name(body) }
        })*

        /// Every schema id with the name of its record.
        pub const SCHEMAS: &[(u16, &str)] = &[$(($id, stringify!($name)),)*];

        /// Calls `$mac!` style dispatch without naming the kinds twice: decodes or encodes a body by its id.
        pub trait Codec {
            type Error;
            fn encode<T: Serialize>(&self, id: u16, body: &T) -> Result<Vec<u8>, Self::Error>;
            fn decode<T: for<'de> Deserialize<'de>>(&self, id: u16, bytes: &[u8]) -> Result<T, Self::Error>;
            /// The error for an id nobody knows.
            fn unknown(&self, id: u16) -> Self::Error;

            fn encode_record(&self, record: &Record) -> Result<Vec<u8>, Self::Error> {
                match record { $(Record::$name(body) => self.encode($id, body),)* }
            }

            fn decode_record(&self, id: u16, bytes: &[u8]) -> Result<Record, Self::Error> {
                match id { $($id => self.decode::<$name>($id, bytes).map(Record::$name),)* other => Err(self.unknown(other)) }
            }
        }
    };
}

records! {
    // A partition's own.
    1 OwnerStarted,
    2 Tick,
    3 SourceAt,
    4 ControlCopy,
    5 NewsTold,
    // Facts and what happens to them.
    10 Facts,
    11 Changes,
    // What could not be read.
    12 DeadLettered,
    13 DeadLetterClosed,
    // Duties.
    20 Ordered,
    21 Confirmed,
    22 ReadBack,
    // People's requests.
    30 RequestReceived,
    31 RequestMoved,
    32 Forwarded,
    33 Delivered,
    // The control log.
    40 PolicyStored,
    41 PolicyPublished,
    42 SystemPut,
    43 SystemMode,
    44 SystemRetired,
    45 SourcePut,
    46 HoldPlaced,
    47 HoldReleased,
    48 HoldEffective,
    49 SweepOrdered,
    50 SweepClosed,
    51 SweepSwitch,
    52 ClockAccepted,
    53 Acknowledged,
    54 SweepAwaiting,
    56 ReapplyOrdered,
    57 LinkLimit,
    58 NewsSwitch,
    59 EvidenceEnded,
}

/// A frame of the ledger: the records that were appended together and are applied together.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Frame {
    /// The rules that were in force when it was written: engine and bundled time zones.
    pub semantics: i32,
    /// The offset of the writing owner's `OwnerStarted`; None = written by intake or the control plane.
    pub epoch: Option<i64>,
    /// W3C `traceparent` of what caused it.
    pub trace: Option<String>,
    pub records: Vec<Record>,
}

/// The number of the engine's rules and the bundled tzdb; a replay under another number may differ.
pub const SEMANTICS: i32 = 1;

/// Events remembered per partition, at least: who repeats one of them is told that it was taken in.
pub const EVENTS_REMEMBERED: usize = 1_000_000;

impl Frame {
    /// Hashes of the events that it took in.
    pub fn event_ids(&self) -> impl Iterator<Item = u64> {
        self.records.iter().flat_map(Record::event_ids)
    }

    pub fn of(records: Vec<Record>) -> Self {
        Self { semantics: SEMANTICS, epoch: None, trace: None, records }
    }

    pub fn traced(mut self, trace: Option<String>) -> Self {
        self.trace = trace;
        self
    }
}

impl Record {
    fn event_ids(&self) -> Vec<u64> {
        let of = |id: &[u8]| id.first_chunk().map(|id| u64::from_le_bytes(*id)).filter(|id| *id != 0);
        match self {
            Self::Facts(facts) => facts.event_ids.chunks_exact(8).filter_map(of).collect(),
            Self::Changes(changes) => {
                changes.rows.iter().filter_map(|change| of(change.event_id.as_deref()?)).collect()
            }
            _ => Vec::new(),
        }
    }
}
