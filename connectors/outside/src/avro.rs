//! Commands and confirmations as bytes: Avro with Confluent's framing under the ids of `schemas/avro/ids.json`.
//!
//! Invariant: whatever the bytes are, reading them never panics and takes no more memory than they have.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use apache_avro::Schema;
use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::writer::datum::GenericDatumWriter;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{Command, Confirmation};

const IDS: &str = include_str!("../../../schemas/avro/ids.json");
/// No record of the protocol is longer.
const MAX: usize = 1 << 20;

/// A record that travels on a topic.
pub trait Framed: Serialize + DeserializeOwned {
    const NAME: &'static str;
    const SCHEMA: &'static str;
    fn known() -> &'static OnceLock<Option<(u32, Schema)>>;
}

impl Framed for Command {
    const NAME: &'static str = "Command";
    const SCHEMA: &'static str = include_str!("../../../schemas/avro/Command/v1.avsc");

    fn known() -> &'static OnceLock<Option<(u32, Schema)>> {
        static KNOWN: OnceLock<Option<(u32, Schema)>> = OnceLock::new();
        &KNOWN
    }
}

impl Framed for Confirmation {
    const NAME: &'static str = "Confirmation";
    const SCHEMA: &'static str = include_str!("../../../schemas/avro/Confirmation/v1.avsc");

    fn known() -> &'static OnceLock<Option<(u32, Schema)>> {
        static KNOWN: OnceLock<Option<(u32, Schema)>> = OnceLock::new();
        &KNOWN
    }
}

fn schema<T: Framed>() -> Option<&'static (u32, Schema)> {
    let read = || {
        let ids: BTreeMap<String, u32> = serde_json::from_str(IDS).ok()?;
        Some((*ids.get(T::NAME)?, Schema::parse_str(T::SCHEMA).ok()?))
    };
    T::known().get_or_init(read).as_ref()
}

/// None = the struct and its schema have come apart: a mistake of the program, which the tests look for.
pub fn write<T: Framed>(record: &T) -> Option<Vec<u8>> {
    let (id, schema) = schema::<T>()?;
    let writer = GenericDatumWriter::builder(schema).human_readable(false).build().ok()?;
    let datum = writer.write_ser_to_vec(record).ok()?;
    Some([&[0][..], &id.to_be_bytes(), &datum].concat())
}

/// None = these bytes are no such record.
pub fn read<T: Framed>(bytes: &[u8]) -> Option<T> {
    let (id, schema) = schema::<T>()?;
    let framed = bytes.split_at_checked(5).filter(|_| bytes.len() <= MAX);
    let (_, mut datum) = framed.filter(|(frame, _)| *frame == [&[0][..], &id.to_be_bytes()].concat())?;
    let reader = GenericDatumReader::builder(schema).human_readable(false).build().ok()?;
    let record = reader.read_deser(&mut datum).ok()?;
    datum.is_empty().then_some(record)
}

#[cfg(test)]
mod tests {
    use data_encoding::HEXLOWER;

    use super::*;
    use crate::Identity;

    /// What `schemas/avro/NAME/v1.golden` holds.
    fn golden(name: &str, part: &str) -> Vec<u8> {
        let file = format!("{}/../../schemas/avro/{name}/v1.golden", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(file).unwrap();
        let lines = text.lines().skip_while(|l| *l != format!("{part}:")).skip(1);
        let hex: String = lines.take_while(|l| !l.ends_with(':')).collect();
        HEXLOWER.decode(hex.as_bytes()).unwrap()
    }

    fn command() -> Command {
        Command {
            id: "cm_000102030405060708090a0b0c0d0e0f".into(),
            attempt: 2,
            system: "crm".into(),
            action: "correct".into(),
            dataset: "crm.people".into(),
            locator: [("id".to_owned(), "4711".to_owned())].into(),
            identities: vec![Identity { kind: "customer_id".into(), value: "4711".into() }],
            categories: vec!["user.contact.email".into()],
            values: [("user.name".to_owned(), Some("Ann".to_owned()))].into(),
            not_after: 1_795_000_010_123,
            issued_at: 1_795_000_000_123,
            policy_version: 4,
            control_k: 17,
            plan_hash: "ab".into(),
        }
    }

    fn confirmation() -> Confirmation {
        Confirmation {
            id: "cm_000102030405060708090a0b0c0d0e0f".into(),
            attempt: 2,
            system: "crm".into(),
            outcome: "failed".into(),
            count: 1,
            detail: Some("locked".into()),
            may_retry: true,
            might_have_happened: true,
            until: Some(1_795_000_010_123),
            at: Some(1_795_000_000_123),
            position: Some("0/16B3748".into()),
        }
    }

    #[test]
    fn what_travels_is_golden() {
        let framed = |id: u8, datum: Vec<u8>| [&[0, 0, 0, 0, id], datum.as_slice()].concat();
        let filled = framed(10, golden("Command", "filled"));
        assert_eq!(HEXLOWER.encode(&write(&command()).unwrap()), HEXLOWER.encode(&filled));
        assert!(read::<Command>(&filled).unwrap() == command());
        assert!(read::<Command>(&framed(10, golden("Command", "minimal"))).unwrap() == Command::default());
        let filled = framed(11, golden("Confirmation", "filled"));
        assert_eq!(HEXLOWER.encode(&write(&confirmation()).unwrap()), HEXLOWER.encode(&filled));
        assert_eq!(read::<Confirmation>(&filled).unwrap(), confirmation());
    }

    #[test]
    fn what_is_cut_longer_or_of_another_id_is_none() {
        let bytes = write(&confirmation()).unwrap();
        assert!((0..bytes.len()).all(|cut| read::<Confirmation>(&bytes[..cut]).is_none()));
        assert!(read::<Confirmation>(&[&bytes[..], &[0]].concat()).is_none());
        assert!(read::<Command>(&bytes).is_none());
        // A text that claims more than there is.
        assert!(read::<Confirmation>(&[0, 0, 0, 0, 11, 0xfe, 0xff, 0xff, 0xff, 0x0f]).is_none());
    }
}
