//! Why an event was not taken: where, a stable code, a remedy. Never a value of the event.

/// An event that was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The event's own id, where it could be read.
    pub id: Option<String>,
    /// Kebab case, stable.
    pub code: &'static str,
    pub detail: String,
}

impl From<Rejected> for Refused {
    fn from(Rejected { id, code, detail, .. }: Rejected) -> Self {
        Self { id, code, detail }
    }
}

/// A refused event by its position in the batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejected {
    pub index: usize,
    pub id: Option<String>,
    pub code: &'static str,
    pub detail: String,
}

impl Refused {
    pub fn new(code: &'static str, detail: impl Into<String>) -> Self {
        Self { id: None, code, detail: detail.into() }
    }

    /// A required field that is not there.
    pub fn missing(field: &str) -> Self {
        Self::new("missing", format!("{field} is missing"))
    }

    /// A field of another type than it must have.
    pub fn wrong(field: &str, must: &str) -> Self {
        Self::new("wrong-type", format!("{field} must be {must}"))
    }

    /// The same, of a field inside another.
    pub fn inside(self, outer: &str) -> Self {
        Self { detail: format!("{outer}.{}", self.detail), ..self }
    }

    pub fn of(self, id: &str) -> Self {
        Self { id: Some(id.to_owned()), ..self }
    }

    pub fn at(self, index: usize) -> Rejected {
        Rejected { index, id: self.id, code: self.code, detail: self.detail }
    }
}

/// How to mend what is refused with this code; None = no event is refused with it.
pub fn remedy(code: &str) -> Option<&'static str> {
    Some(match code {
        "bad-time" => "write it as RFC 3339, such as 2026-01-31T12:00:00Z, before 9999-12-30T22:00:00Z",
        "control-characters" | "identity-control-characters" => "take the characters below U+0020 out",
        "empty" | "identity-empty" => "write a value, or leave the field out where it may be missing",
        "identity-not-e164" => "write +COUNTRY NUMBER, such as +49 170 1234567",
        "identity-too-long" | "too-long" => "send what names the record, and keep content out of events",
        "identity-type" => "write type:value with a type of [a-z][a-z0-9_]*, such as customer_id:4711",
        "incompatible-schema" => "register a schema that the one read with may read",
        "item-disagrees" => "leave `item` out, or send what the dataset's item column holds",
        "item-missing" => "name the item, or the columns that its id is made of",
        "item-of-another-subject" => "send the subject that the `it_…` was shown for",
        "item-shown" => "send the company's own id of the item, or leave it out",
        "linked-to-itself" => "name at least one other identity in `also`",
        "locator-key-missing" => "name every key column of the dataset in `locator`",
        "locator-missing" => "say where the record lies: {\"locator\": {COLUMN: VALUE}}",
        "malformed" => "send one JSON object in UTF-8, each field once, no number larger than a double",
        "missing" => "send the field; docs/quickstart.md has an event of each kind",
        "no-rule" => "add a rule to the source, or one with `skip: true`",
        "not-base64" => "encode it as standard base64",
        "not-debezium" => "point the source at Debezium's topic, or give it another `format`",
        "not-framed" => "send Confluent framing: a zero byte, four bytes of schema id, the datum",
        "not-json" => "send JSON, or give the source another `format`",
        "not-lifecycle" => "send a record of quietus.lifecycle.v1, or give the source `rules`",
        "not-sealed" => "look at the node's log: its tenant key cannot seal",
        "process-missing" => "name the process that the event is of",
        "specversion" => "send CloudEvents of specversion 1.0",
        "system-missing" => "name the system that the dataset belongs to",
        "time-ahead" => "set the sender's clock right, then send it again",
        "too-large" => "keep content out of events, name where it lies",
        "too-many" => "send fewer of them in one event",
        "two-payloads" => "send `data` or `data_base64`, not both",
        "type-disagrees" => "send the CloudEvents type that belongs to the record",
        "unavailable" => "set REPLICA IDENTITY FULL, or name columns that every change carries",
        "unknown-op" => "use a newer quietus, or keep such records out of the topic",
        "unknown-schema" => {
            "name the schema registry in `kafka: {registry: URL}`, or send an id of schemas/avro/ids.json"
        }
        "unknown-type" => "send one of the types quietus.item|purpose|subject….v1",
        "wrong-type" => "send the type that `detail` names",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::remedy;

    fn sources(dir: &Path, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true if path.ends_with("tests") => {}
                true => sources(&path, found),
                false => found.push(path),
            }
        }
    }

    #[test]
    fn whatever_an_event_is_refused_with_has_a_remedy() {
        let mut files = Vec::new();
        sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/intake"), &mut files);
        let mut codes = 0;
        for file in files.iter().filter(|f| !f.ends_with("refuse.rs")) {
            let text = std::fs::read_to_string(file).unwrap();
            for (at, _) in text.match_indices("Refused::new(") {
                let rest = text[at + "Refused::new(".len()..].trim_start();
                let Some(code) = rest.strip_prefix('"').and_then(|r| r.split('"').next()) else { continue };
                assert!(remedy(code).is_some(), "{}: {code} has no remedy", file.display());
                codes += 1;
            }
        }
        assert!(codes > 30, "only {codes} refusals were found");
        assert_eq!(remedy("none"), None);
    }
}
