//! The Avro schemas of the ledger, compiled in and parsed once.
//!
//! Invariant: a schema id stands for one (name, version) for ever; its text and golden bytes are frozen with the
//! first release. No schema refers to a type by name, so that [`super::skim`] needs no table of names. Rejected:
//! schemas derived from the structs, which would change silently with them.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use apache_avro::Schema;
use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::writer::datum::GenericDatumWriter;

/// The id that the envelope itself goes by in errors and here; no record has it.
pub const ENVELOPE: u16 = 0;

/// One schema with what reads and writes its data.
pub struct Datum {
    pub name: &'static str,
    pub schema: &'static Schema,
    pub reader: GenericDatumReader<'static>,
    pub writer: GenericDatumWriter<'static>,
}

macro_rules! texts {
    ($($id:literal $name:ident,)*) => {
        const TEXTS: &[(u16, &str, &str)] = &[
            (ENVELOPE, "Frame", include_str!("../../schemas/avro/Frame/v1.avsc")),
            $(($id, stringify!($name), include_str!(concat!("../../schemas/avro/", stringify!($name), "/v1.avsc"))),)*
        ];
    };
}

texts! {
    1 OwnerStarted,
    2 Tick,
    3 SourceAt,
    4 ControlCopy,
    5 NewsTold,
    10 Facts,
    11 Changes,
    12 DeadLettered,
    13 DeadLetterClosed,
    20 Ordered,
    21 Confirmed,
    22 ReadBack,
    30 RequestReceived,
    31 RequestMoved,
    32 Forwarded,
    33 Delivered,
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

/// What reads and writes the data of a schema id; None when nobody knows it.
pub fn datum(id: u16) -> Option<&'static Datum> {
    static DATA: OnceLock<BTreeMap<u16, Datum>> = OnceLock::new();
    DATA.get_or_init(|| {
        parsed()
            .iter()
            .filter_map(|(id, name, schema)| {
                let reader = GenericDatumReader::builder(schema).human_readable(false).build().ok()?;
                let writer = GenericDatumWriter::builder(schema).human_readable(false).build().ok()?;
                Some((*id, Datum { name, schema, reader, writer }))
            })
            .collect()
    })
    .get(&id)
}

/// A text that does not parse is left out, and its id unknown; the tests ask for every one of them.
fn parsed() -> &'static [(u16, &'static str, Schema)] {
    static PARSED: OnceLock<Vec<(u16, &'static str, Schema)>> = OnceLock::new();
    PARSED.get_or_init(|| {
        TEXTS
            .iter()
            .filter_map(|(id, name, text)| Some((*id, *name, Schema::parse_str(text).ok()?)))
            .collect()
    })
}

impl std::fmt::Debug for Datum {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Datum").field("name", &self.name).finish_non_exhaustive()
    }
}
