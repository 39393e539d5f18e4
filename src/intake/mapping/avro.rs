//! Avro as it stands in Kafka records: Confluent's framing, and data of any schema read into a [`Tree`].
//!
//! Invariant: whatever the bytes, reading takes no more steps than [`STEPS_MAX`] and no deeper than [`DEPTH_MAX`].
//! Rejected: apache-avro's `Value`, which forgets the scale of a decimal and what Connect says of a column, and costs
//! several times as much; it is the reference in the tests.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use super::logical::{Logical, decimal};
use super::schemas::SchemaId;
use super::tree::Tree;
use crate::intake::refuse::Refused;

const DEPTH_MAX: usize = 64;
const STEPS_MAX: usize = 1 << 20;

/// The schema's id and the data behind it; None = not framed. No JSON begins with these bytes.
pub fn framed(bytes: &[u8]) -> Option<(SchemaId, &[u8])> {
    match bytes.split_first()? {
        (0, rest) => {
            let (id, body) = rest.split_first_chunk::<4>()?;
            Some((SchemaId::Number(u32::from_be_bytes(*id)), body))
        }
        (1, rest) => {
            let (guid, body) = rest.split_first_chunk::<16>()?;
            Some((SchemaId::Guid(*guid), body))
        }
        _ => None,
    }
}

/// The id in a `__value_schema_id` header: framed as in a value, with nothing behind it.
pub fn header_id(bytes: &[u8]) -> Option<SchemaId> {
    framed(bytes).filter(|(_, rest)| rest.is_empty()).map(|(id, _)| id)
}

/// A schema as far as reading needs it.
#[derive(Debug)]
pub struct AvroSchema {
    root: Type,
    /// Records, by the position that [`Type::Record`] holds.
    records: Vec<RecordType>,
}

#[derive(Debug, Default)]
struct RecordType {
    full_name: String,
    fields: Vec<(String, Type)>,
}

#[derive(Clone, Debug)]
pub(super) enum Type {
    Null,
    Bool,
    /// int and long.
    Long,
    Float,
    Double,
    Bytes,
    Text,
    Fixed(usize),
    Enum(Vec<String>),
    List(Box<Self>),
    Map(Box<Self>),
    Union(Vec<Self>),
    Record(usize),
    Means(Logical, Box<Self>),
}

impl AvroSchema {
    pub fn parse(text: &str) -> Result<Self, String> {
        // The reference says whether it is a schema at all.
        apache_avro::Schema::parse_str(text).map_err(|e| e.to_string())?;
        let json: Json = serde_json::from_str(text).map_err(|e| e.to_string())?;
        let mut parser = Parser::default();
        let root = parser.read(&json, "", 0)?;
        Ok(Self { root, records: parser.records })
    }

    /// Namespace and name of the record that it is.
    pub fn full_name(&self) -> &str {
        match &self.root {
            Type::Record(at) => self.records.get(*at).map_or("", |r| &r.full_name),
            _ => "",
        }
    }
}

#[derive(Default)]
struct Parser {
    records: Vec<RecordType>,
    named: BTreeMap<String, Type>,
}

impl Parser {
    fn read(&mut self, json: &Json, namespace: &str, depth: usize) -> Result<Type, String> {
        if depth > DEPTH_MAX {
            return Err("the schema is nested too deep".to_owned());
        }
        match json {
            Json::String(name) => self.named(name, namespace),
            Json::Array(branches) => {
                let branches = branches.iter().map(|b| self.read(b, namespace, depth + 1));
                Ok(Type::Union(branches.collect::<Result<_, _>>()?))
            }
            Json::Object(_) => self.object(json, namespace, depth),
            _ => Err("a type is a name, a list or an object".to_owned()),
        }
    }

    fn named(&self, name: &str, namespace: &str) -> Result<Type, String> {
        Ok(match name {
            "null" => Type::Null,
            "boolean" => Type::Bool,
            "int" | "long" => Type::Long,
            "float" => Type::Float,
            "double" => Type::Double,
            "bytes" => Type::Bytes,
            "string" => Type::Text,
            other => {
                let full = full_name(other, namespace);
                let known = self.named.get(&full).or_else(|| self.named.get(other));
                return known
                    .cloned()
                    .ok_or_else(|| format!("the schema names {other} and does not say what it is"));
            }
        })
    }

    fn object(&mut self, json: &Json, namespace: &str, depth: usize) -> Result<Type, String> {
        let text = |key: &str| json.get(key).and_then(Json::as_str);
        let inside = |key: &str| json.get(key).unwrap_or(&Json::Null);
        let namespace = text("namespace").unwrap_or(namespace);
        let read = match text("type") {
            Some("record" | "error") => self.record(json, namespace, depth)?,
            Some("enum") => {
                let symbols = inside("symbols").as_array().into_iter().flatten();
                let of = Type::Enum(symbols.filter_map(Json::as_str).map(str::to_owned).collect());
                self.name(text("name"), namespace, &of);
                of
            }
            Some("fixed") => {
                let size = inside("size").as_u64().and_then(|n| usize::try_from(n).ok());
                let of = Type::Fixed(size.ok_or("a fixed type has no size")?);
                self.name(text("name"), namespace, &of);
                of
            }
            Some("array") => Type::List(Box::new(self.read(inside("items"), namespace, depth + 1)?)),
            Some("map") => Type::Map(Box::new(self.read(inside("values"), namespace, depth + 1)?)),
            Some(name) => self.named(name, namespace)?,
            None => self.read(inside("type"), namespace, depth + 1)?,
        };
        let scale = || {
            let connect = json.get("connect.parameters").and_then(|p| p.get("scale"));
            let scale = json.get("scale").or(connect);
            scale
                .and_then(|s| s.as_u64().or_else(|| s.as_str()?.parse().ok()))
                .and_then(|n| u32::try_from(n).ok())
        };
        let means = match text("logicalType") {
            Some("decimal") => Some(Logical::Decimal(scale().unwrap_or_default())),
            Some("date") => Some(Logical::Days),
            Some("timestamp-millis" | "local-timestamp-millis") => Some(Logical::Millis),
            Some("timestamp-micros" | "local-timestamp-micros") => Some(Logical::Micros),
            Some("timestamp-nanos" | "local-timestamp-nanos") => Some(Logical::Nanos),
            _ => text("connect.name").and_then(|name| Logical::of(name, scale())),
        };
        Ok(means.map_or(read.clone(), |means| Type::Means(means, Box::new(read))))
    }

    fn record(&mut self, json: &Json, namespace: &str, depth: usize) -> Result<Type, String> {
        let name = json.get("name").and_then(Json::as_str).unwrap_or_default();
        let full_name = full_name(name, namespace);
        let namespace = full_name.rsplit_once('.').map_or("", |(space, _)| space).to_owned();
        let at = self.records.len();
        self.records.push(RecordType { full_name: full_name.clone(), fields: Vec::new() });
        // Before its fields: a record may hold itself.
        self.named.insert(full_name, Type::Record(at));
        let mut fields = Vec::new();
        for field in json.get("fields").and_then(Json::as_array).into_iter().flatten() {
            let name = field.get("name").and_then(Json::as_str).unwrap_or_default().to_owned();
            let of = self.read(field.get("type").unwrap_or(&Json::Null), &namespace, depth + 1)?;
            fields.push((name, of));
        }
        if let Some(record) = self.records.get_mut(at) {
            record.fields = fields;
        }
        Ok(Type::Record(at))
    }

    fn name(&mut self, name: Option<&str>, namespace: &str, of: &Type) {
        if let Some(name) = name {
            self.named.insert(full_name(name, namespace), of.clone());
        }
    }
}

fn full_name(name: &str, namespace: &str) -> String {
    if name.contains('.') || namespace.is_empty() { name.to_owned() } else { format!("{namespace}.{name}") }
}

/// The datum, all of its bytes used.
pub fn tree(schema: &AvroSchema, bytes: &[u8]) -> Result<Tree, Refused> {
    whole(schema, bytes, |reader, of| reader.read(of, 0))
}

/// As [`tree`], made by `read` of the root.
pub(super) fn whole<'s, 'b, T>(
    schema: &'s AvroSchema,
    bytes: &'b [u8],
    read: impl FnOnce(&mut Reader<'s, 'b>, &'s Type) -> Option<T>,
) -> Result<T, Refused> {
    let mut reader = Reader { schema, rest: bytes, steps: 0 };
    let read = read(&mut reader, &schema.root);
    read.filter(|_| reader.rest.is_empty()).ok_or_else(|| {
        Refused::new(
            "incompatible-schema",
            "the record's bytes do not fit the schema that its id names: look whether the producer and the registry agree",
        )
    })
}

pub(super) struct Reader<'s, 'b> {
    schema: &'s AvroSchema,
    rest: &'b [u8],
    steps: usize,
}

impl<'s, 'b> Reader<'s, 'b> {
    pub(super) fn read(&mut self, of: &'s Type, depth: usize) -> Option<Tree> {
        self.steps += 1;
        if depth > DEPTH_MAX || self.steps > STEPS_MAX {
            return None;
        }
        Some(match of {
            Type::Null => Tree::Null,
            Type::Bool => Tree::Bool(*self.take(1)?.first()? != 0),
            Type::Long => Tree::Int(self.long()?),
            Type::Float => Tree::Float(f64::from(f32::from_le_bytes(self.take(4)?.try_into().ok()?))),
            Type::Double => Tree::Float(f64::from_le_bytes(self.take(8)?.try_into().ok()?)),
            Type::Bytes => Tree::Bytes(self.sized()?.to_vec()),
            Type::Text => Tree::Text(self.text()?.to_owned()),
            Type::Fixed(size) => Tree::Bytes(self.take(*size)?.to_vec()),
            Type::Enum(symbols) => Tree::Text(symbols.get(usize::try_from(self.long()?).ok()?)?.clone()),
            Type::List(of) => {
                let mut list = Vec::new();
                self.blocks(|reader| {
                    list.push(reader.read(of, depth + 1)?);
                    Some(())
                })?;
                Tree::List(list)
            }
            Type::Map(of) => {
                let mut map = Vec::new();
                self.blocks(|reader| {
                    let key = reader.text()?.to_owned();
                    map.push((key, reader.read(of, depth + 1)?));
                    Some(())
                })?;
                Tree::Map(map)
            }
            Type::Union(branches) => {
                let branch = branches.get(usize::try_from(self.long()?).ok()?)?;
                self.read(branch, depth + 1)?
            }
            Type::Record(at) => {
                let fields = &self.schema.records.get(*at)?.fields;
                let read = fields.iter().map(|(name, of)| Some((name.clone(), self.read(of, depth + 1)?)));
                Tree::Map(read.collect::<Option<_>>()?)
            }
            Type::Means(means, of) => {
                let plain = self.read(of, depth + 1)?;
                match (means, &plain) {
                    (Logical::Decimal(scale), Tree::Bytes(bytes)) => decimal(bytes, *scale).unwrap_or(plain),
                    _ => means.read(&plain).unwrap_or(plain),
                }
            }
        })
    }

    /// What stands there, when it is one of several.
    pub(super) fn branch(&mut self, mut of: &'s Type) -> Option<&'s Type> {
        while let Type::Union(branches) = of {
            of = branches.get(usize::try_from(self.long()?).ok()?)?;
        }
        Some(of)
    }

    /// Each field of the record in its order; `one` reads it.
    pub(super) fn fields(
        &mut self,
        record: usize,
        mut one: impl FnMut(&mut Self, &'s str, &'s Type) -> Option<()>,
    ) -> Option<()> {
        let schema = self.schema;
        let fields = &schema.records.get(record)?.fields;
        fields.iter().try_for_each(|(name, of)| one(self, name, of))
    }

    pub(super) fn text(&mut self) -> Option<&'b str> {
        std::str::from_utf8(self.sized()?).ok()
    }

    pub(super) fn blocks(&mut self, mut one: impl FnMut(&mut Self) -> Option<()>) -> Option<()> {
        loop {
            let mut count = self.long()?;
            if count == 0 {
                return Some(());
            }
            if count < 0 {
                // A negative count is followed by the block's size in bytes.
                self.long()?;
                count = count.checked_neg()?;
            }
            for _ in 0..count {
                self.steps += 1;
                if self.steps > STEPS_MAX {
                    return None;
                }
                one(self)?;
            }
        }
    }

    fn long(&mut self) -> Option<i64> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = *self.take(1)?.first()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some((value >> 1).cast_signed() ^ -((value & 1).cast_signed()));
            }
        }
        None
    }

    fn sized(&mut self) -> Option<&'b [u8]> {
        let length = usize::try_from(self.long()?).ok()?;
        self.take(length)
    }

    fn take(&mut self, n: usize) -> Option<&'b [u8]> {
        let (taken, rest) = self.rest.split_at_checked(n)?;
        self.rest = rest;
        Some(taken)
    }
}
