//! CloudEvents 1.0 as they come over HTTP: structured, binary, or a batch.
//!
//! Invariant: one event that cannot be read never takes the others of its batch with it; a body that is no batch
//! at all is refused as a whole. Rejected: reading the batch into a tree of JSON values first (three times the cost).

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use quietus_core::record::Origin;
use quietus_core::time::Millis;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::data::{Data, Given, Text, opaque};
use super::elements::{each, value};
use super::refuse::Refused;

pub const EVENT_MAX: usize = 1 << 20;
pub const BATCH_BYTES_MAX: usize = 16 << 20;
pub const BATCH_EVENTS_MAX: usize = 10_000;

/// One event, its attributes checked, its data not yet.
pub struct RawEvent<'a> {
    /// Empty = told apart by where it was read alone.
    pub id: Cow<'a, str>,
    pub source: Cow<'a, str>,
    /// The CloudEvents type, `quietus.item.recorded.v1`.
    pub kind: Cow<'a, str>,
    pub time: Option<Millis>,
    /// The event's own `traceparent`.
    pub trace: Option<Cow<'a, str>>,
    /// What kind of news it is.
    pub origin: Origin,
    /// Where its source has it.
    pub position: Option<Position>,
    pub payload: Payload<'a>,
}

/// An offset in the range of one of the feed's marks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// Index into the feed's marks.
    pub mark: usize,
    pub offset: i64,
}

impl<'a> RawEvent<'a> {
    /// An event of this type with nothing else said.
    pub fn of(kind: Cow<'a, str>) -> Self {
        Self {
            id: Cow::Borrowed(""),
            source: Cow::Borrowed(""),
            kind,
            time: None,
            trace: None,
            origin: Origin::Event,
            position: None,
            payload: Payload::None,
        }
    }
}

pub enum Payload<'a> {
    None,
    Read(Box<Data<'a>>),
    /// JSON that came as bytes: the body of a binary event, or `data_base64`.
    Bytes(Cow<'a, [u8]>),
}

opaque! {
    "RawEvent" RawEvent<'_>,
    "Payload" Payload<'_>,
}

/// What was sent in one call, in order.
#[derive(Debug, Default)]
pub struct Batch<'a> {
    pub events: Vec<Result<RawEvent<'a>, Refused>>,
    /// The call's own `traceparent`.
    pub trace: Option<String>,
}

/// Why a body is refused as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    #[error(
        "the content type is none of application/cloudevents+json, application/cloudevents-batch+json, and JSON with ce-* headers"
    )]
    MediaType,
    #[error("the body is not JSON: line {line}, column {column}")]
    Json { line: usize, column: usize },
    #[error("a batch is a JSON array of objects")]
    NoBatch,
    #[error("one event takes at most 1 MiB: keep content out of events, name where it lies")]
    EventTooLarge,
    #[error("a batch takes at most 16 MiB and 10,000 events: split it")]
    BatchTooLarge,
}

impl Unreadable {
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::MediaType => "name what the body is in `Content-Type`",
            Self::Json { .. } => "send JSON in UTF-8, whole, with control characters written \\uXXXX",
            Self::NoBatch => "send [{…}, …], or one event as application/cloudevents+json",
            Self::EventTooLarge => "keep content out of events, name where it lies",
            Self::BatchTooLarge => "split the batch",
        }
    }
}

/// Reads a body by its content type; `header` looks a header up by its lower-case name.
pub fn read<'a>(
    content_type: &str,
    header: impl Fn(&str) -> Option<&'a str>,
    body: &'a [u8],
) -> Result<Batch<'a>, Unreadable> {
    let media = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let trace = header("traceparent").filter(|t| is_traceparent(t)).map(str::to_owned);
    let events = match media.as_str() {
        "application/cloudevents-batch+json" => batch(body)?,
        "application/cloudevents+json" => vec![structured(one(body)?)],
        _ if header("ce-id").is_some() || header("ce-type").is_some() => vec![binary(&media, header, body)?],
        _ => return Err(Unreadable::MediaType),
    };
    Ok(Batch { events, trace })
}

/// One structured event alone.
pub(super) fn single(body: &[u8]) -> Result<RawEvent<'_>, Refused> {
    let code = |unreadable: &Unreadable| match unreadable {
        Unreadable::EventTooLarge | Unreadable::BatchTooLarge => "too-large",
        Unreadable::MediaType | Unreadable::Json { .. } | Unreadable::NoBatch => "malformed",
    };
    structured(one(body).map_err(|e| Refused::new(code(&e), e.to_string()))?)
}

/// One event whose attributes are headers: `text` looks them up by their name in Kafka.
pub(super) fn attributed<'a>(
    text: impl Fn(&str) -> Text<'a>,
    payload: Payload<'a>,
) -> Result<RawEvent<'a>, Refused> {
    let id = required(text("ce_id"), "ce_id")?;
    let [version, source, kind, time, trace] =
        ["ce_specversion", "ce_source", "ce_type", "ce_time", "ce_traceparent"].map(text);
    event_of(id.clone(), version, source, kind, time, trace, || Ok(payload)).map_err(|r| r.of(&id))
}

fn batch(body: &[u8]) -> Result<Vec<Result<RawEvent<'_>, Refused>>, Unreadable> {
    each(body, |rest| match event(rest) {
        Some(read) => Ok(read),
        // What is wrong with it, and where it ends, takes another look.
        None => value(body, rest).map(|(event, tail)| (bounded(event), tail)),
    })
}

/// An event at the head of `rest` that can be read, and what follows it.
fn event(rest: &[u8]) -> Option<(Result<RawEvent<'_>, Refused>, &[u8])> {
    if !rest.starts_with(b"{") {
        return None;
    }
    let mut values = serde_json::Deserializer::from_slice(rest).into_iter::<Envelope<'_>>();
    let envelope = values.next()?.ok()?;
    let (event, tail) = rest.split_at_checked(values.byte_offset())?;
    (event.len() <= EVENT_MAX).then(|| (attributes(envelope), tail))
}

fn bounded(event: &[u8]) -> Result<RawEvent<'_>, Refused> {
    match event.len() {
        0..=EVENT_MAX => structured(event),
        _ => Err(Refused::new("too-large", Unreadable::EventTooLarge.to_string())),
    }
}

fn one(body: &[u8]) -> Result<&[u8], Unreadable> {
    if body.len() > EVENT_MAX {
        return Err(Unreadable::EventTooLarge);
    }
    let body_from = body.trim_ascii();
    if !body_from.starts_with(b"{") {
        return Err(Unreadable::NoBatch);
    }
    match serde_json::from_slice::<IgnoredAny>(body) {
        Ok(_) => Ok(body_from),
        Err(e) => Err(Unreadable::Json { line: e.line(), column: e.column() }),
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Envelope<'a> {
    #[serde(borrow)]
    specversion: Text<'a>,
    #[serde(borrow)]
    id: Text<'a>,
    #[serde(borrow)]
    source: Text<'a>,
    #[serde(borrow, rename = "type")]
    kind: Text<'a>,
    #[serde(borrow)]
    time: Text<'a>,
    #[serde(borrow)]
    datacontenttype: Text<'a>,
    #[serde(borrow)]
    traceparent: Text<'a>,
    #[serde(borrow)]
    data: Given<Data<'a>>,
    #[serde(borrow)]
    data_base64: Text<'a>,
}

/// The bytes are known to be one JSON object; what still fails is a field that stands there twice, or bad UTF-8.
fn structured(event: &[u8]) -> Result<RawEvent<'_>, Refused> {
    let envelope: Envelope<'_> = serde_json::from_slice(event).map_err(|_| {
        Refused::new(
            "malformed",
            "a field stands there twice, a number is out of range, or a text is not UTF-8",
        )
    })?;
    attributes(envelope)
}

fn attributes(envelope: Envelope<'_>) -> Result<RawEvent<'_>, Refused> {
    let id = required(envelope.id, "id")?;
    event_of(
        id.clone(),
        envelope.specversion,
        envelope.source,
        envelope.kind,
        envelope.time,
        envelope.traceparent,
        || {
            if let Given::Is(media) = &envelope.datacontenttype
                && !is_json(media)
            {
                return Err(Refused::new("not-json", "datacontenttype must be application/json"));
            }
            match (envelope.data, envelope.data_base64) {
                (Given::Absent, Given::Absent) => Ok(Payload::None),
                (Given::Is(data), Given::Absent) => Ok(Payload::Read(Box::new(data))),
                (Given::Absent, Given::Is(text)) => STANDARD
                    .decode(text.as_bytes())
                    .map(|bytes| Payload::Bytes(bytes.into()))
                    .map_err(|_| Refused::new("not-base64", "data_base64 must be standard base64")),
                (Given::Wrong, Given::Absent) => Err(Refused::wrong("data", "an object")),
                (_, Given::Wrong) => Err(Refused::wrong("data_base64", "a string")),
                (_, Given::Is(_)) => {
                    Err(Refused::new("two-payloads", "data and data_base64 exclude each other"))
                }
            }
        },
    )
    .map_err(|refused| refused.of(&id))
}

fn binary<'a>(
    media: &str,
    header: impl Fn(&str) -> Option<&'a str>,
    body: &'a [u8],
) -> Result<Result<RawEvent<'a>, Refused>, Unreadable> {
    if body.len() > EVENT_MAX {
        return Err(Unreadable::EventTooLarge);
    }
    if !is_json(media) {
        return Err(Unreadable::MediaType);
    }
    let text = |name: &str| header(name).map_or(Given::Absent, |v| Given::Is(percent_decoded(v)));
    let payload = if body.trim_ascii().is_empty() { Payload::None } else { Payload::Bytes(body.into()) };
    let id = match required(text("ce-id"), "ce-id") {
        Ok(id) => id,
        Err(refused) => return Ok(Err(refused)),
    };
    let [version, source, kind, time, trace] =
        ["ce-specversion", "ce-source", "ce-type", "ce-time", "ce-traceparent"].map(text);
    Ok(event_of(id.clone(), version, source, kind, time, trace, || Ok(payload)).map_err(|r| r.of(&id)))
}

fn event_of<'a>(
    id: Cow<'a, str>,
    version: Text<'a>,
    source: Text<'a>,
    kind: Text<'a>,
    time: Text<'a>,
    trace: Text<'a>,
    payload: impl FnOnce() -> Result<Payload<'a>, Refused>,
) -> Result<RawEvent<'a>, Refused> {
    if required(version, "specversion")? != "1.0" {
        return Err(Refused::new("specversion", "specversion must be 1.0"));
    }
    let time = match time {
        Given::Absent => None,
        Given::Wrong => return Err(Refused::wrong("time", "an RFC 3339 time")),
        Given::Is(text) => Some(
            Millis::parse(&text).ok_or_else(|| Refused::new("bad-time", "time must be an RFC 3339 time"))?,
        ),
    };
    Ok(RawEvent {
        id,
        source: required(source, "source")?,
        kind: required(kind, "type")?,
        time,
        trace: match trace {
            Given::Is(text) if is_traceparent(&text) => Some(text),
            _ => None,
        },
        payload: payload()?,
        origin: Origin::Event,
        position: None,
    })
}

fn required<'a>(text: Text<'a>, name: &str) -> Result<Cow<'a, str>, Refused> {
    match text {
        Given::Is(text) if text.is_empty() => Err(Refused::new("empty", format!("{name} is empty"))),
        Given::Is(text) if text.len() > 1_024 => {
            Err(Refused::new("too-long", format!("{name} is longer than 1 KiB")))
        }
        Given::Is(text) => Ok(text),
        Given::Absent => Err(Refused::missing(name)),
        Given::Wrong => Err(Refused::wrong(name, "a string")),
    }
}

pub(super) fn is_json(media: &str) -> bool {
    let media = media.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    media == "application/json" || media == "text/json" || media.ends_with("+json")
}

/// `00-<32 hex>-<16 hex>-<2 hex>`; anything else is dropped, as the W3C says.
pub(super) fn is_traceparent(text: &str) -> bool {
    let hex = |s: &str, n: usize| s.len() == n && s.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    let mut parts = text.split('-');
    match [parts.next(), parts.next(), parts.next(), parts.next(), parts.next()] {
        [Some(v), Some(trace), Some(span), Some(flags), None] => {
            hex(v, 2) && v != "ff" && hex(trace, 32) && hex(span, 16) && hex(flags, 2)
        }
        _ => false,
    }
}

/// Header values are percent-encoded in the binary mode of HTTP; what is no valid escape stays.
fn percent_decoded(value: &str) -> Cow<'_, str> {
    if !value.contains('%') {
        return Cow::Borrowed(value);
    }
    let mut out = Vec::with_capacity(value.len());
    let mut rest = value.as_bytes();
    while let Some((byte, tail)) = rest.split_first() {
        let escaped = tail.get(..2).filter(|_| *byte == b'%');
        match escaped.and_then(|hex| data_encoding::HEXLOWER_PERMISSIVE.decode(hex).ok()) {
            Some(decoded) => {
                out.extend(decoded);
                rest = tail.get(2..).unwrap_or_default();
            }
            None => {
                out.push(*byte);
                rest = tail;
            }
        }
    }
    String::from_utf8(out).map_or(Cow::Borrowed(value), Cow::Owned)
}
