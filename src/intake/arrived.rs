//! A record as it was delivered, owned: from Kafka, from a line of a file, from a dead letter.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use quietus_core::time::Millis;
use serde::{Deserialize, Serialize};

use super::mapping::{Headers, Message};
use super::refuse::Refused;

#[derive(Clone, Default, PartialEq, Eq)]
pub struct Arrived {
    /// What its mark goes by: a topic, `file:` and a digest; None = it has no position.
    pub mark: Option<Arc<str>>,
    pub topic: Arc<str>,
    pub partition: i32,
    pub offset: i64,
    pub timestamp: Option<Millis>,
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    pub headers: Vec<(String, Vec<u8>)>,
}

impl Arrived {
    /// A record that is its value and nothing else.
    pub fn value(bytes: &[u8]) -> Self {
        Self { value: Some(bytes.to_vec()), ..Self::default() }
    }

    pub fn message(&self) -> Message<'_> {
        Message {
            key: self.key.as_deref(),
            value: self.value.as_deref(),
            headers: Headers(self.headers.iter().map(|(n, v)| (n.as_str(), v.as_slice())).collect()),
            topic: &self.topic,
            partition: self.partition,
            timestamp: self.timestamp,
        }
    }

    pub fn size(&self) -> usize {
        let headers: usize = self.headers.iter().map(|(n, v)| n.len() + v.len()).sum();
        self.key.as_ref().map_or(0, Vec::len) + self.value.as_ref().map_or(0, Vec::len) + headers
    }

    /// One line of a file: the value, or what consumers print of a whole record (`key`, `headers`, … beside `value`
    /// or `payload`, which may be a JSON value, its text, or base64 under `value_base64`).
    pub fn line(line: &[u8]) -> Result<Self, Refused> {
        let Some(whole) = whole(line) else { return Ok(Self::value(line)) };
        let base64 = |text: &Option<String>, field: &str| match text {
            None => Ok(None),
            Some(text) => STANDARD
                .decode(text)
                .map(Some)
                .map_err(|_| Refused::new("not-base64", format!("{field} must be standard base64"))),
        };
        let bytes = |given: Option<&serde_json::Value>| match given {
            None | Some(serde_json::Value::Null) => None,
            Some(serde_json::Value::String(text)) => Some(text.clone().into_bytes()),
            Some(other) => Some(other.to_string().into_bytes()),
        };
        Ok(Self {
            mark: None,
            topic: whole.topic.unwrap_or_default().into(),
            partition: whole.partition.unwrap_or_default(),
            offset: whole.offset.unwrap_or_default(),
            timestamp: whole.timestamp.or(whole.ts).map(Millis),
            key: base64(&whole.key_base64, "key_base64")?.or_else(|| bytes(whole.key.as_ref())),
            value: base64(&whole.value_base64, "value_base64")?
                .or_else(|| bytes(whole.value.as_ref().or(whole.payload.as_ref()))),
            headers: headers(whole.headers.as_ref()),
        })
    }

    /// What a dead letter keeps, before it is sealed.
    pub fn packed(&self) -> Vec<u8> {
        let text = |bytes: &Option<Vec<u8>>| bytes.as_ref().map(|b| STANDARD.encode(b));
        let packed = Packed {
            topic: self.topic.to_string(),
            partition: self.partition,
            offset: self.offset,
            timestamp: self.timestamp.map(|t| t.0),
            key: text(&self.key),
            value: text(&self.value),
            headers: self.headers.iter().map(|(n, v)| (n.clone(), STANDARD.encode(v))).collect(),
        };
        // Texts and numbers: nothing JSON cannot say.
        serde_json::to_vec(&packed).unwrap_or_default()
    }

    /// Reads what [`Arrived::packed`] wrote.
    pub fn unpacked(bytes: &[u8]) -> Option<Self> {
        let packed: Packed = serde_json::from_slice(bytes).ok()?;
        let bytes = |text: Option<String>| text.map(|t| STANDARD.decode(t).ok());
        let optional = |text: Option<String>| match bytes(text) {
            None => Some(None),
            Some(decoded) => decoded.map(Some),
        };
        let headers = packed.headers.into_iter().map(|(n, v)| Some((n, STANDARD.decode(v).ok()?)));
        Some(Self {
            mark: None,
            topic: packed.topic.into(),
            partition: packed.partition,
            offset: packed.offset,
            timestamp: packed.timestamp.map(Millis),
            key: optional(packed.key)?,
            value: optional(packed.value)?,
            headers: headers.collect::<Option<_>>()?,
        })
    }
}

/// What a record holds is personal data.
impl std::fmt::Debug for Arrived {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Arrived({}/{}@{})", self.topic, self.partition, self.offset)
    }
}

#[derive(Deserialize, Serialize)]
struct Packed {
    topic: String,
    partition: i32,
    offset: i64,
    timestamp: Option<i64>,
    key: Option<String>,
    value: Option<String>,
    headers: Vec<(String, String)>,
}

/// As kcat and others print a record.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Whole {
    topic: Option<String>,
    partition: Option<i32>,
    offset: Option<i64>,
    timestamp: Option<i64>,
    ts: Option<i64>,
    #[serde(rename = "tstype")]
    _tstype: Option<String>,
    #[serde(rename = "broker")]
    _broker: Option<i64>,
    key: Option<serde_json::Value>,
    key_base64: Option<String>,
    value: Option<serde_json::Value>,
    value_base64: Option<String>,
    payload: Option<serde_json::Value>,
    headers: Option<serde_json::Value>,
}

/// None = the line is a company's own object, whatever it holds.
fn whole(line: &[u8]) -> Option<Whole> {
    let whole: Whole = serde_json::from_slice(line).ok()?;
    let names: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(line).ok()?;
    let has = |name: &str| names.contains_key(name);
    let value = has("value") || has("payload") || has("value_base64");
    let beside = has("key") || has("key_base64") || has("headers") || has("topic") || has("offset");
    (value && beside).then_some(whole)
}

/// `{name: text}`, `[[name, text]]`, or kcat's flat `[name, text, …]`.
fn headers(given: Option<&serde_json::Value>) -> Vec<(String, Vec<u8>)> {
    let text = |v: &serde_json::Value| match v {
        serde_json::Value::String(text) => text.clone().into_bytes(),
        serde_json::Value::Null => Vec::new(),
        other => other.to_string().into_bytes(),
    };
    match given {
        Some(serde_json::Value::Object(map)) => map.iter().map(|(n, v)| (n.clone(), text(v))).collect(),
        Some(serde_json::Value::Array(list)) if list.iter().all(serde_json::Value::is_array) => list
            .iter()
            .filter_map(|pair| Some((pair.get(0)?.as_str()?.to_owned(), text(pair.get(1)?))))
            .collect(),
        Some(serde_json::Value::Array(list)) => list
            .chunks(2)
            .filter_map(|pair| Some((pair.first()?.as_str()?.to_owned(), text(pair.get(1)?))))
            .collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_its_value_unless_it_is_a_whole_record() {
        for own in
            [r#"{"type":"a","value":1}"#, r#"{"value":{"a":1}}"#, r#"{"schema":{},"payload":{}}"#, "{", "7"]
        {
            assert_eq!(Arrived::line(own.as_bytes()).unwrap(), Arrived::value(own.as_bytes()), "{own}");
        }
        let printed = r#"{"topic":"t","partition":1,"offset":9,"tstype":"create","ts":5,"broker":1,"headers":["ce_id","1"],"key":"{\"id\":1}","payload":"{\"a\":2}"}"#;
        let read = Arrived::line(printed.as_bytes()).unwrap();
        assert_eq!(read.value.as_deref(), Some(br#"{"a":2}"#.as_slice()));
        assert_eq!(read.key.as_deref(), Some(br#"{"id":1}"#.as_slice()));
        assert_eq!((read.message().headers.text("CE_ID"), read.timestamp), (Some("1"), Some(Millis(5))));
        let tombstone = Arrived::line(br#"{"key":{"id":1},"value":null}"#).unwrap();
        assert_eq!((tombstone.value, tombstone.key.as_deref()), (None, Some(br#"{"id":1}"#.as_slice())));
    }

    #[test]
    fn what_is_packed_comes_back() {
        let record = Arrived {
            mark: None,
            topic: "t".into(),
            partition: 3,
            offset: 7,
            timestamp: Some(Millis(-1)),
            key: None,
            value: Some(vec![0, 255]),
            headers: vec![("a".into(), vec![1])],
        };
        assert_eq!(Arrived::unpacked(&record.packed()), Some(record));
        assert_eq!(Arrived::unpacked(b"{}"), None);
    }
}
