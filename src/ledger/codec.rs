//! Frames as bytes: one Avro envelope, and in it one datum per record, each of its own schema.
//!
//! Invariant: decoding never panics and allocates no more than the bytes pay for, whatever they are; what was
//! encoded decodes to the same frame. Rejected: a single-object header per record (10 bytes a record for what the
//! envelope's id says), and a datum per fact instead of a column (250 times the cost).

use std::fmt;

use quietus_core::record::{Codec, Frame, Record};
use serde::{Deserialize, Serialize};

use super::schemas::{Datum, ENVELOPE, datum};
use super::skim;

/// A frame is refused beyond this, written or read.
pub const FRAME_MAX: usize = 8 << 20;

/// No frame carries more records.
pub const RECORDS_MAX: usize = 4_096;

/// The frame as the backends store it.
pub fn encode_frame(frame: &Frame) -> Result<Vec<u8>, CodecError> {
    if frame.records.len() > RECORDS_MAX {
        return Err(CodecError::TooLarge { what: "records", limit: RECORDS_MAX });
    }
    let entries = frame
        .records
        .iter()
        .map(|r| Ok(Entry { schema: i32::from(r.schema()), body: Avro.encode_record(r)? }))
        .collect::<Result<_, CodecError>>()?;
    let envelope =
        Envelope { semantics: frame.semantics, epoch: frame.epoch, trace: frame.trace.clone(), entries };
    let room = envelope.entries.iter().map(|entry| entry.body.len() + 16).sum::<usize>() + 128;
    let bytes = written(ENVELOPE, &envelope, room)?;
    if bytes.len() > FRAME_MAX {
        return Err(CodecError::TooLarge { what: "bytes", limit: FRAME_MAX });
    }
    Ok(bytes)
}

/// Reads what [`encode_frame`] wrote; anything else is an error.
pub fn decode_frame(bytes: &[u8]) -> Result<Frame, CodecError> {
    if bytes.len() > FRAME_MAX {
        return Err(CodecError::TooLarge { what: "bytes", limit: FRAME_MAX });
    }
    let envelope: Envelope = Avro.decode(ENVELOPE, bytes)?;
    if envelope.entries.len() > RECORDS_MAX {
        return Err(CodecError::TooLarge { what: "records", limit: RECORDS_MAX });
    }
    let records = envelope.entries.iter().map(Entry::record).collect::<Result<_, _>>()?;
    Ok(Frame { semantics: envelope.semantics, epoch: envelope.epoch, trace: envelope.trace, records })
}

/// One record alone: for bodies carried inside another record (`ControlCopy`, `Forwarded`).
pub fn encode_record(record: &Record) -> Result<(i32, Vec<u8>), CodecError> {
    Ok((i32::from(record.schema()), Avro.encode_record(record)?))
}

/// Reads what [`encode_record`] wrote.
pub fn decode_record(schema: i32, body: &[u8]) -> Result<Record, CodecError> {
    // The envelope's own id is no record's.
    let id = u16::try_from(schema).ok().filter(|id| *id != ENVELOPE).ok_or(CodecError::Unknown { schema })?;
    Avro.decode_record(id, body)
}

// The reader asks for the name that the schema gives.
#[derive(Serialize, Deserialize)]
#[serde(rename = "Frame")]
struct Envelope {
    semantics: i32,
    epoch: Option<i64>,
    trace: Option<String>,
    entries: Vec<Entry>,
}

#[derive(Serialize, Deserialize)]
struct Entry {
    schema: i32,
    #[serde(with = "serde_bytes")]
    body: Vec<u8>,
}

impl Entry {
    fn record(&self) -> Result<Record, CodecError> {
        decode_record(self.schema, &self.body)
    }
}

/// So many bytes need not be moved as they become more.
fn written<T: Serialize>(id: u16, body: &T, room: usize) -> Result<Vec<u8>, CodecError> {
    let Datum { name, writer, .. } = datum(id).ok_or_else(|| Avro.unknown(id))?;
    let mut out = Vec::with_capacity(room);
    writer.write_ser(&mut out, body).map_err(|_| CodecError::Mismatch { record: name })?;
    Ok(out)
}

#[derive(Clone, Copy, Debug)]
pub struct Avro;

impl Codec for Avro {
    type Error = CodecError;

    fn encode<T: Serialize>(&self, id: u16, body: &T) -> Result<Vec<u8>, CodecError> {
        written(id, body, 0)
    }

    fn decode<T: for<'de> Deserialize<'de>>(&self, id: u16, bytes: &[u8]) -> Result<T, CodecError> {
        let Datum { name, schema, reader, .. } = datum(id).ok_or_else(|| self.unknown(id))?;
        if !skim::whole(schema, bytes) {
            return Err(CodecError::Malformed { record: name });
        }
        let mut rest = bytes;
        reader.read_deser(&mut rest).map_err(|_| CodecError::Malformed { record: name })
    }

    fn unknown(&self, id: u16) -> CodecError {
        CodecError::Unknown { schema: i32::from(id) }
    }
}

/// Why bytes are no frame, or a frame no bytes. Names the record, never what stood in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CodecError {
    /// Written by a newer program, or not written by this one at all.
    Unknown {
        schema: i32,
    },
    Malformed {
        record: &'static str,
    },
    TooLarge {
        what: &'static str,
        limit: usize,
    },
    /// The struct and its schema have come apart: a mistake of the program.
    Mismatch {
        record: &'static str,
    },
}

impl fmt::Display for CodecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown { schema } => {
                write!(
                    f,
                    "schema {schema} is not known here: read this ledger with the version that wrote it, or a newer one"
                )
            }
            Self::Malformed { record } => {
                write!(
                    f,
                    "a {record} does not fit its schema: the bytes are damaged, run `quietus audit verify`"
                )
            }
            Self::TooLarge { what, limit } => write!(f, "a frame of more than {limit} {what}: split it"),
            Self::Mismatch { record } => {
                write!(f, "schemas/avro/{record} does not say what the program writes")
            }
        }
    }
}

impl std::error::Error for CodecError {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use quietus_core::record::{Changes, Facts, Tick};

    use super::super::examples;
    use super::*;

    fn frame() -> Frame {
        Frame {
            semantics: 7,
            epoch: Some(-3),
            trace: Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".into()),
            records: examples::all(),
        }
    }

    #[test]
    fn a_frame_of_every_record_comes_back() {
        let frame = frame();
        assert_eq!(decode_frame(&encode_frame(&frame).unwrap()).unwrap(), frame);
        let empty = Frame::default();
        assert_eq!(decode_frame(&encode_frame(&empty).unwrap()).unwrap(), empty);
    }

    #[test]
    fn a_body_alone_comes_back() {
        for record in examples::all() {
            let (schema, body) = encode_record(&record).unwrap();
            assert_eq!(decode_record(schema, &body).unwrap(), record);
        }
    }

    #[test]
    fn an_unknown_schema_is_named() {
        assert_eq!(decode_record(999, &[]), Err(CodecError::Unknown { schema: 999 }));
        assert_eq!(decode_record(0, &[]), Err(CodecError::Unknown { schema: 0 }));
        assert_eq!(decode_record(-1, &[]), Err(CodecError::Unknown { schema: -1 }));
        assert_eq!(decode_record(65_538, &[2]), Err(CodecError::Unknown { schema: 65_538 }));
    }

    #[test]
    fn too_large_is_said_before_it_is_stored() {
        let many = Frame::of((0..=RECORDS_MAX).map(|_| Record::from(Tick { now: 1 })).collect());
        assert!(matches!(encode_frame(&many), Err(CodecError::TooLarge { what: "records", .. })));
        let large = Frame::of(vec![Facts { cells: vec![0; FRAME_MAX], ..Facts::default() }.into()]);
        assert!(matches!(encode_frame(&large), Err(CodecError::TooLarge { what: "bytes", .. })));
        assert!(matches!(decode_frame(&vec![0; FRAME_MAX + 1]), Err(CodecError::TooLarge { .. })));
    }

    #[test]
    fn every_cut_and_every_longer_frame_is_refused() {
        let bytes = encode_frame(&frame()).unwrap();
        for cut in 0..bytes.len() {
            assert!(decode_frame(&bytes[..cut]).is_err(), "cut at {cut}");
        }
        let longer = [bytes.as_slice(), &[0]].concat();
        assert!(decode_frame(&longer).is_err());
    }

    #[test]
    fn a_length_that_the_bytes_do_not_pay_for_is_refused() {
        // semantics 0, no epoch, no trace, then an array that claims 2^40 entries.
        let hostile = [0, 0, 0, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 1, 0, 0];
        assert_eq!(decode_frame(&hostile), Err(CodecError::Malformed { record: "Frame" }));
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_frame_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
            let _ = decode_frame(&bytes);
        }

        #[test]
        fn a_damaged_frame_is_a_frame_or_an_error(at in 0usize..5_000, with in any::<u8>()) {
            let mut bytes = encode_frame(&frame()).unwrap();
            let len = bytes.len();
            bytes[at % len] = with;
            let _ = decode_frame(&bytes);
        }

        #[test]
        fn any_body_is_a_record_or_an_error(
            schema in 1i32..60,
            bytes in proptest::collection::vec(any::<u8>(), 0..200),
        ) {
            if let Ok(record) = decode_record(schema, &bytes) {
                let (again, body) = encode_record(&record).unwrap();
                prop_assert_eq!(decode_record(again, &body).unwrap(), record);
            }
        }

        #[test]
        fn columns_of_any_bytes_come_back(
            items in proptest::collection::vec(any::<u8>(), 0..2_000),
            source in ".{0,20}",
        ) {
            let facts = Facts { source: source.clone(), items, ..Facts::default() };
            let frame = Frame::of(vec![facts.into(), Changes { source, ..Changes::default() }.into()]);
            prop_assert_eq!(decode_frame(&encode_frame(&frame).unwrap()).unwrap(), frame);
        }
    }

    /// Prints what a frame of 512 facts costs: `cargo test -- --ignored --nocapture what_a_fact_costs`.
    #[test]
    #[ignore = "a measurement, not a check"]
    fn what_a_fact_costs() {
        let frame = Frame::of(vec![examples::facts(512).into()]);
        let bytes = encode_frame(&frame).unwrap();
        let rounds = 200u32;
        let began = std::time::Instant::now();
        (0..rounds).for_each(|_| drop(std::hint::black_box(encode_frame(&frame).unwrap())));
        let wrote = began.elapsed() / (rounds * 512);
        let began = std::time::Instant::now();
        (0..rounds).for_each(|_| drop(std::hint::black_box(decode_frame(&bytes).unwrap())));
        let read = began.elapsed() / (rounds * 512);
        println!("{} bytes, written in {wrote:?} and read in {read:?} a fact", bytes.len());
    }
}
