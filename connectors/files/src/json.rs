//! Whom a line of JSON names in its top-level fields.

use std::fmt;

use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::config::Set;
use crate::wanted::{Wanted, Whom};

/// Deeper than this is no record of anybody.
const DEEPEST: usize = 128;

/// Everybody named by a matching field, any of them where a key comes twice. Blank lines, and values that are no
/// object, name nobody.
pub(crate) fn whom(line: &[u8], set: &Set, wanted: &Wanted) -> Result<Whom, &'static str> {
    let text = std::str::from_utf8(line).map_err(|_| "the line is no UTF-8")?;
    let text = text.trim_matches([' ', '\t', '\r', '\n']);
    let mut whom = Whom::new();
    if text.is_empty() {
        return Ok(whom);
    }
    if is_too_deep(text) {
        return Err("the line is nested deeper than 128 levels");
    }
    if !text.starts_with('{') {
        let read: Result<IgnoredAny, _> = serde_json::from_str(text);
        return read.map(|_| whom).map_err(|_| "the line is no JSON");
    }
    let mut values = serde_json::Deserializer::from_str(text);
    let read = values.deserialize_map(Named { set, wanted, whom: &mut whom }).and_then(|()| values.end());
    read.map(|()| whom).map_err(|_| "the line is no JSON")
}

struct Named<'a> {
    set: &'a Set,
    wanted: &'a Wanted,
    whom: &'a mut Whom,
}

impl<'de> Visitor<'de> for Named<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<String>()? {
            let Some((_, kind)) = self.set.fields.iter().find(|(field, _)| *field == key) else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            let value = map.next_value::<&RawValue>()?.get();
            match value.as_bytes().first() {
                Some(b'"') => {
                    let text: String = serde_json::from_str(value).map_err(serde::de::Error::custom)?;
                    self.wanted.text(kind, &text, self.whom);
                }
                Some(b'-' | b'0'..=b'9') => self.wanted.number(kind, value, self.whom),
                _ => {}
            }
        }
        Ok(())
    }
}

/// By counting, because a reader that goes down into it is what this protects.
fn is_too_deep(text: &str) -> bool {
    let (mut depth, mut quoted, mut escaped) = (0_usize, false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = quoted,
            b'"' => quoted = !quoted,
            b'{' | b'[' if !quoted => depth += 1,
            b'}' | b']' if !quoted => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > DEEPEST {
            return true;
        }
    }
    false
}
