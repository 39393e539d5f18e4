//! What a sample's records become, told without a node.

use serde_json::Value;

use super::accept::{Intake, Options};
use super::arrived::Arrived;
use super::cloudevent::Payload;
use super::context::Context;
use super::feeding::Feeding;
use super::mapping::{Mapping, Schemas};
use super::refuse::Refused;
use crate::sealing::Keys;

/// One record of a sample.
#[derive(Debug)]
pub struct Told {
    pub line: usize,
    /// CloudEvents type and data of each event; none = the record is passed over.
    pub becomes: Vec<(String, Value)>,
    /// Every row of this place went.
    pub empties: Option<String>,
    pub refused: Option<Refused>,
}

/// The records of a sample with their lines: JSON values one after the other, one array of them, lines of which some
/// are broken, or a single framed Avro record.
pub fn records(bytes: &[u8]) -> Vec<(usize, Result<Arrived, Refused>)> {
    if matches!(bytes.first(), Some(0 | 1)) {
        return vec![(1, Ok(Arrived::value(bytes)))];
    }
    let line_of = |rest: &[u8]| {
        let read = bytes.get(..bytes.len() - rest.len()).unwrap_or_default();
        read.iter().filter(|b| **b == b'\n').count() + 1
    };
    if bytes.trim_ascii_start().starts_with(b"[")
        && let Ok(elements) = super::elements::elements(bytes)
    {
        let at = |element: &[u8]| element.as_ptr().addr().saturating_sub(bytes.as_ptr().addr());
        return elements
            .into_iter()
            .map(|element| (line_of(bytes.get(at(element)..).unwrap_or_default()), Arrived::line(element)))
            .collect();
    }
    let mut out = Vec::new();
    let mut rest = bytes.trim_ascii_start();
    while !rest.is_empty() {
        let line = line_of(rest);
        let mut values = serde_json::Deserializer::from_slice(rest).into_iter::<serde::de::IgnoredAny>();
        let whole = matches!(values.next(), Some(Ok(_)));
        // Of what is no JSON nobody can say where it ends, but that the next line is another record.
        let end = if whole {
            values.byte_offset()
        } else {
            rest.iter().position(|b| *b == b'\n').unwrap_or(rest.len())
        };
        let (record, tail) = rest.split_at_checked(end).unwrap_or((rest, &[]));
        out.push((line, Arrived::line(record)));
        rest = tail.trim_ascii_start();
    }
    out
}

/// Maps and checks each record as a node would, under a key of no company.
pub fn tell(mapping: &Mapping, context: &Context, bytes: &[u8]) -> Vec<Told> {
    let Ok(keys) = Keys::from_tenant(&[0; 32]) else { return Vec::new() };
    let intake = Intake::new(keys, 1, Options { seen: 1, ..Options::default() });
    let schemas = Schemas::bundled();
    let one = |(line, record): (usize, Result<Arrived, Refused>)| {
        let record = match record {
            Ok(record) => record,
            Err(refused) => return Told { line, becomes: Vec::new(), empties: None, refused: Some(refused) },
        };
        let message = record.message();
        let mapped = mapping.map(&message, &schemas).unwrap_or_default();
        let becomes = mapped.events.iter().map(|event| {
            let data = match &event.payload {
                Payload::None => Value::Null,
                Payload::Read(data) => data.to_json(),
                Payload::Bytes(bytes) => serde_json::from_slice(bytes).unwrap_or_default(),
            };
            (event.kind.to_string(), data)
        });
        let (becomes, empties) =
            (becomes.collect(), mapped.emptied.map(|e| format!("{} {}", e.system, e.dataset)));
        let (intake, schemas) = (&intake, &schemas);
        let feeding = Feeding { intake, mapping, schemas, context, generation: 1, origin: None, taken: &[] };
        let fed = feeding.feed(std::slice::from_ref(&record));
        let refused = fed.refused.into_iter().next().map(|(_, refused)| refused);
        Told { line, becomes, empties, refused }
    };
    records(bytes).into_iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_found_with_their_lines() {
        let lines = |text: &str| records(text.as_bytes()).iter().map(|(line, _)| *line).collect::<Vec<_>>();
        assert_eq!(lines("{\"a\":1}\n\n{\"a\":2}\n"), [1, 3]);
        assert_eq!(lines("{\n \"a\": 1\n}\n{\"b\": 2}"), [1, 4]);
        assert_eq!(lines("[{\"a\":1},\n {\"a\":2}]"), [1, 2]);
        assert_eq!(lines("{\"a\":1}\nbroken {\n{\"a\":2}"), [1, 2, 3]);
        assert_eq!(lines("\u{0}\u{0}\u{0}\u{0}\u{1}abc"), [1]);
        assert!(lines(" \n").is_empty());
    }
}
