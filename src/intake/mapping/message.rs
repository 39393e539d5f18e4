//! One record as its source delivered it.

use quietus_core::time::Millis;

use super::avro;
use super::schemas::SchemaId;

#[derive(Clone, Default)]
pub struct Message<'m> {
    pub key: Option<&'m [u8]>,
    /// None = a tombstone.
    pub value: Option<&'m [u8]>,
    pub headers: Headers<'m>,
    pub topic: &'m str,
    pub partition: i32,
    /// The record's own, not the content's.
    pub timestamp: Option<Millis>,
}

/// In their order; a name may come twice, the last counts.
#[derive(Clone, Default)]
pub struct Headers<'m>(pub Vec<(&'m str, &'m [u8])>);

impl<'m> Headers<'m> {
    pub fn get(&self, name: &str) -> Option<&'m [u8]> {
        self.0.iter().rev().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| *value)
    }

    pub fn text(&self, name: &str) -> Option<&'m str> {
        self.get(name).and_then(|bytes| std::str::from_utf8(bytes).ok())
    }
}

impl<'m> Message<'m> {
    /// The schemas that headers name.
    pub(super) fn schema_headers(&self) -> impl Iterator<Item = SchemaId> + use<'m> {
        let named = ["__value_schema_id", "__key_schema_id"].map(|name| self.headers.get(name));
        named.into_iter().flatten().filter_map(avro::header_id)
    }
}

/// What a record holds is personal data.
impl std::fmt::Debug for Message<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Message").field("topic", &self.topic).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Headers<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Headers(•••)")
    }
}
