//! The schemas that records name by id: fetched once, kept for good, for an id never means another schema.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use super::avro::AvroSchema;
use crate::intake::refuse::Refused;

/// As it stands in front of a record.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum SchemaId {
    Number(u32),
    Guid([u8; 16]),
}

/// What a registry said of an id.
#[derive(Clone, Debug)]
pub enum Fetch {
    Schema(String),
    /// There is none of this id.
    Unknown,
}

#[derive(Debug, Default)]
pub struct Schemas {
    known: RwLock<BTreeMap<SchemaId, Result<Arc<AvroSchema>, Refused>>>,
}

macro_rules! bundled {
    ($($name:literal,)*) => {
        const BUNDLED: &[(&str, &str)] =
            &[$(($name, include_str!(concat!("../../../schemas/avro/", $name, "/v1.avsc"))),)*];
    };
}

bundled! {
    "ItemRecorded",
    "ItemCopied",
    "ItemTouched",
    "ItemGone",
    "ItemCorrected",
    "PurposeGranted",
    "PurposeWithdrawn",
    "SubjectEvent",
    "SubjectLinked",
}

impl Schemas {
    /// The lifecycle records under the ids of `schemas/avro/ids.json`: for those without a registry.
    pub fn bundled() -> Self {
        let ids: BTreeMap<String, u32> =
            serde_json::from_str(include_str!("../../../schemas/avro/ids.json")).unwrap_or_default();
        let schemas = Self::default();
        for (name, text) in BUNDLED {
            if let Some(id) = ids.get(*name) {
                schemas.learn(SchemaId::Number(*id), Fetch::Schema((*text).to_owned()));
            }
        }
        schemas
    }

    /// What is known now, for one thread: where several ask for each record, they wait for each other's counters.
    pub fn now(&self) -> Self {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        Self { known: RwLock::new(known.clone()) }
    }

    pub fn knows(&self, id: &SchemaId) -> bool {
        self.known.read().unwrap_or_else(PoisonError::into_inner).contains_key(id)
    }

    pub fn learn(&self, id: SchemaId, fetched: Fetch) {
        let read = match fetched {
            Fetch::Schema(text) => AvroSchema::parse(&text).map(Arc::new).map_err(|why| {
                let detail =
                    format!("schema {id} cannot be read: {why}; register it anew, and retry the record");
                Refused::new("incompatible-schema", detail)
            }),
            Fetch::Unknown => Err(unknown(&id)),
        };
        self.known.write().unwrap_or_else(PoisonError::into_inner).insert(id, read);
    }

    /// What could not be had is asked for again: before a retry.
    pub fn forget_missing(&self) {
        self.known.write().unwrap_or_else(PoisonError::into_inner).retain(|_, known| known.is_ok());
    }

    pub fn get(&self, id: &SchemaId) -> Result<Arc<AvroSchema>, Refused> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.get(id).cloned().unwrap_or_else(|| Err(unknown(id)))
    }
}

fn unknown(id: &SchemaId) -> Refused {
    Refused::new(
        "unknown-schema",
        format!(
            "schema {id} is not known: set `kafka: {{registry: URL}}` to the registry that gave it, or use an id of schemas/avro/ids.json"
        ),
    )
}

impl fmt::Display for SchemaId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(n) => n.fmt(f),
            Self::Guid(guid) => {
                for (n, byte) in guid.iter().enumerate() {
                    let dash = if matches!(n, 4 | 6 | 8 | 10) { "-" } else { "" };
                    write!(f, "{dash}{byte:02x}")?;
                }
                Ok(())
            }
        }
    }
}

impl fmt::Debug for SchemaId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SchemaId({self})")
    }
}
