//! What a source's record becomes: nothing, one or several lifecycle events.
//!
//! A [`Mapping`] is a source made ready: its rules, and what the dataset it names says of its rows. [`Mapping::map`]
//! is a pure function of the message and of the schemas that were fetched for it; everything that comes out goes the
//! way of `/v1/events`. [`tree`] is a record taken apart, whatever it was written in.
//!
//! Invariant: a refusal names fields and remedies, never a value of the record. Rejected: serde into one struct per
//! connector and version, which breaks with the next field; and a record's own text as the event's id, because two
//! equal touches are two.

mod avro;
mod cloudevents;
mod debezium;
mod direct;
mod logical;
mod message;
mod native;
mod outbox;
mod row;
mod rules;
pub mod schemas;
mod shown;
mod tree;

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::collections::BTreeMap;

use quietus_core::source::{Format, Source};
use quietus_core::system::Manifest;
use quietus_core::time::Millis;

use super::cloudevent::RawEvent;
use super::refuse::Refused;

pub use message::{Headers, Message};
pub use schemas::{Fetch, SchemaId, Schemas};

use row::Table;
use tree::Tree;

/// A source made ready.
#[derive(Clone, Debug, PartialEq)]
pub struct Mapping {
    source: Source,
    table: Option<Table>,
}

/// What became of one record.
#[derive(Debug, Default)]
pub struct Mapped<'m> {
    pub events: Vec<RawEvent<'m>>,
    /// Every row of this place went at once.
    pub emptied: Option<Emptied>,
    /// When the source says it happened.
    pub source_time: Option<Millis>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Emptied {
    pub system: String,
    pub dataset: String,
    pub at: Millis,
}

/// A source that cannot be used with the systems there are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unfit {
    /// Which key of its file is to blame.
    pub key: &'static str,
    pub detail: String,
    pub fix: String,
}

impl Mapping {
    pub fn new(source: Source, systems: &BTreeMap<String, Manifest>) -> Result<Self, Unfit> {
        let table = source.dataset.as_ref().map(|dataset| Table::new(dataset, systems)).transpose()?;
        Ok(Self { source, table })
    }

    pub fn source(&self) -> &Source {
        &self.source
    }

    /// The schemas that [`Mapping::map`] will ask for.
    pub fn schemas_of(&self, message: &Message<'_>) -> Vec<SchemaId> {
        [message.value, message.key]
            .into_iter()
            .flatten()
            .filter_map(avro::framed)
            .map(|(id, _)| id)
            .chain(message.schema_headers())
            .collect()
    }

    pub fn map<'m>(&self, message: &Message<'m>, schemas: &Schemas) -> Result<Mapped<'m>, Refused> {
        let record = Record { message, schemas };
        match self.source.format {
            Format::Json => self.by_rules(&record),
            Format::Avro if self.source.rules.is_empty() => native::map(&record),
            Format::Avro => self.by_rules(&record),
            Format::Cloudevents if self.source.rules.is_empty() => cloudevents::map(&record),
            Format::Cloudevents => cloudevents::map_by_rules(&record, &self.source.rules),
            Format::Outbox => outbox::map(&record, &self.source),
            Format::Debezium => match &self.table {
                Some(table) => debezium::map(&record, table),
                None => debezium::map_by_rules(&record, &self.source.rules),
            },
        }
    }

    /// The source time that a record of Debezium's heartbeat topic tells.
    pub fn heartbeat(message: &Message<'_>, schemas: &Schemas) -> Option<Millis> {
        let record = Record { message, schemas };
        debezium::heartbeat(&record.value().ok()??)
    }

    fn by_rules<'m>(&self, record: &Record<'_, 'm>) -> Result<Mapped<'m>, Refused> {
        // What a source calls JSON is nothing else, whatever its first byte.
        let value = match self.source.format {
            Format::Json => record.message.value.map(tree::json).transpose()?,
            _ => record.value()?,
        };
        let Some(value) = value else { return Ok(Mapped::default()) };
        let event = rules::apply(&self.source.rules, record, &value, record.message.timestamp)?;
        Ok(Mapped::of(event, record.message.timestamp))
    }
}

impl<'m> Mapped<'m> {
    fn of(event: Option<RawEvent<'m>>, source_time: Option<Millis>) -> Self {
        Self { events: event.into_iter().collect(), emptied: None, source_time }
    }
}

/// A message with what its bytes mean.
struct Record<'r, 'm> {
    message: &'r Message<'m>,
    schemas: &'r Schemas,
}

impl Record<'_, '_> {
    /// None = a tombstone.
    fn value(&self) -> Result<Option<Tree>, Refused> {
        self.decoded(self.message.value, "__value_schema_id")
    }

    fn key(&self) -> Result<Option<Tree>, Refused> {
        self.decoded(self.message.key, "__key_schema_id")
    }

    fn decoded(&self, bytes: Option<&[u8]>, schema_header: &str) -> Result<Option<Tree>, Refused> {
        let Some(bytes) = bytes else { return Ok(None) };
        let bare = self.message.headers.get(schema_header).and_then(avro::header_id);
        Ok(Some(match (bare, avro::framed(bytes)) {
            (Some(id), _) => avro::tree(&*self.schemas.get(&id)?, bytes)?,
            (None, Some((id, body))) => avro::tree(&*self.schemas.get(&id)?, body)?,
            (None, None) => tree::json(bytes)?,
        }))
    }

    fn header(&self, name: &str) -> Option<Cow<'_, str>> {
        self.message.headers.get(name).map(String::from_utf8_lossy)
    }
}
