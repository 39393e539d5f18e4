//! The lifecycle events, checked: every field there, of its type and within its limit.
//!
//! Invariant: what comes out of here needs only keys and seals to become a fact or a change. A source that is not
//! CloudEvents makes the same [`Event`].

use std::borrow::Cow;

use quietus_contract::Locator;
use quietus_core::time::Millis;

use super::data::{CopyData, Data, Given, Place, Text, Time, Words, opaque};
use super::refuse::Refused;

/// A name of the policy or the manifests: category, purpose, system, dataset, event.
const NAME_MAX: usize = 256;
/// An id of the company: item, process.
const ID_MAX: usize = 1_024;
const LIST_MAX: usize = 64;
const VALUE_MAX: usize = 64 << 10;
/// A sealed locator has to fit a page beside its item.
const LOCATOR_MAX: usize = 1_024;

pub enum Event<'a> {
    Recorded(Recorded<'a>),
    Copied {
        item: &'a str,
        subject: &'a str,
        copies: Vec<CopyAt<'a>>,
        disclosure: Option<String>,
        at: Millis,
    },
    Touched {
        item: Which<'a>,
        subject: &'a str,
        at: Millis,
    },
    Gone {
        item: Which<'a>,
        subject: Option<&'a str>,
        system: Option<&'a str>,
        dataset: Option<&'a str>,
        at: Millis,
    },
    Corrected {
        item: Which<'a>,
        subject: &'a str,
        values: &'a [(String, Option<String>)],
        at: Millis,
    },
    Granted(Consent<'a>),
    Withdrawn(Consent<'a>),
    Happened {
        subject: &'a str,
        event: &'a str,
        at: Millis,
        process: Option<&'a str>,
        item: Option<&'a str>,
    },
    Linked {
        subject: &'a str,
        also: Vec<&'a str>,
        at: Millis,
    },
}

/// An item that was recorded before.
pub enum Which<'a> {
    /// By the company's id, or by `it_…`.
    Named(&'a str),
    /// By where its first copy lies.
    At(CopyAt<'a>),
}

pub struct Recorded<'a> {
    pub item: Option<&'a str>,
    pub subject: &'a str,
    /// Sorted, each once.
    pub categories: Vec<&'a str>,
    /// Sorted, each once.
    pub purposes: Vec<&'a str>,
    pub jurisdiction: Option<&'a str>,
    pub process: Option<&'a str>,
    pub controller: Option<&'a str>,
    pub service: Option<&'a str>,
    /// None = the start is unknown.
    pub recorded_at: Option<Millis>,
    /// When the source says it happened.
    pub source_time: Option<Millis>,
    pub copies: Vec<CopyAt<'a>>,
}

pub struct CopyAt<'a> {
    pub system: &'a str,
    pub dataset: &'a str,
    pub locator: &'a Locator,
    /// None = the item's. Sorted, each once.
    pub purposes: Option<Vec<&'a str>>,
}

pub struct Consent<'a> {
    pub subject: &'a str,
    pub purpose: &'a str,
    pub item: Option<&'a str>,
    pub policy_version: Option<&'a str>,
    pub at: Millis,
}

opaque! {
    "Event" Event<'_>,
    "Which" Which<'_>,
    "Recorded" Recorded<'_>,
    "CopyAt" CopyAt<'_>,
    "Consent" Consent<'_>,
}

/// The event of this CloudEvents type; `time` is the event's own, the default of `at`.
pub fn event<'a>(kind: &str, time: Option<Millis>, data: &'a Data<'a>) -> Result<Event<'a>, Refused> {
    let item = || need(&data.item, "data.item", ID_MAX);
    let subject = || need(&data.subject, "data.subject", ID_MAX + 65);
    let at = || match (moment(&data.at, "data.at")?, time) {
        (Some(at), _) | (None, Some(at)) => Ok(at),
        (None, None) => Err(Refused::new("missing", "data.at is missing, and the event has no time either")),
    };
    Ok(match kind {
        "quietus.item.recorded.v1" => Event::Recorded(recorded(data, time)?),
        "quietus.item.copied.v1" => Event::Copied {
            item: item()?,
            subject: subject()?,
            copies: copies(data)?,
            disclosure: disclosure(data)?,
            at: at()?,
        },
        "quietus.item.touched.v1" => Event::Touched { item: which(data)?, subject: subject()?, at: at()? },
        "quietus.item.gone.v1" => {
            let system = name(&data.system, "data.system")?;
            let dataset = name(&data.dataset, "data.dataset")?;
            if dataset.is_some() && system.is_none() {
                return Err(Refused::new(
                    "system-missing",
                    "data.dataset names a place only together with data.system",
                ));
            }
            let subject = optional(&data.subject, "data.subject", ID_MAX + 65)?;
            let item = which(data)?;
            // Who names the place that it is gone from means that place.
            let (system, dataset) = match &item {
                Which::At(copy) if system.is_none() => (Some(copy.system), Some(copy.dataset)),
                Which::At(_) | Which::Named(_) => (system, dataset),
            };
            Event::Gone { item, subject, system, dataset, at: at()? }
        }
        "quietus.item.corrected.v1" => {
            Event::Corrected { item: which(data)?, subject: subject()?, values: values(data)?, at: at()? }
        }
        "quietus.purpose.granted.v1" => Event::Granted(consent(data, subject()?, at()?)?),
        "quietus.purpose.withdrawn.v1" => Event::Withdrawn(consent(data, subject()?, at()?)?),
        "quietus.subject.event.v1" => Event::Happened {
            subject: subject()?,
            event: need(&data.event, "data.event", NAME_MAX)?,
            at: at()?,
            process: optional(&data.process, "data.process", ID_MAX)?,
            item: optional(&data.item, "data.item", ID_MAX)?,
        },
        "quietus.subject.linked.v1" => {
            let also = words(&data.also, "data.also", ID_MAX + 65)?.unwrap_or_default();
            if also.is_empty() {
                return Err(Refused::missing("data.also"));
            }
            Event::Linked { subject: subject()?, also, at: at()? }
        }
        _ => return Err(Refused::new("unknown-type", "type is none of the lifecycle events quietus.….v1")),
    })
}

/// By its id; else by the place of its first copy.
fn which<'a>(data: &'a Data<'a>) -> Result<Which<'a>, Refused> {
    if let Some(item) = optional(&data.item, "data.item", ID_MAX)? {
        return Ok(Which::Named(item));
    }
    if matches!(data.copies, Given::Absent) {
        return Err(Refused::missing("data.item"));
    }
    copies(data)?.into_iter().next().map(Which::At).ok_or_else(|| Refused::missing("data.item"))
}

fn recorded<'a>(data: &'a Data<'a>, time: Option<Millis>) -> Result<Recorded<'a>, Refused> {
    let categories = sorted(words(&data.category, "data.category", NAME_MAX)?.unwrap_or_default());
    if categories.is_empty() {
        return Err(Refused::missing("data.category"));
    }
    let recorded_at = moment(&data.recorded_at, "data.recorded_at")?;
    Ok(Recorded {
        item: optional(&data.item, "data.item", ID_MAX)?,
        subject: need(&data.subject, "data.subject", ID_MAX + 65)?,
        categories,
        purposes: sorted(words(&data.purposes, "data.purposes", NAME_MAX)?.unwrap_or_default()),
        jurisdiction: name(&data.jurisdiction, "data.jurisdiction")?,
        process: optional(&data.process, "data.process", ID_MAX)?,
        controller: name(&data.controller, "data.controller")?,
        service: name(&data.service, "data.service")?,
        recorded_at,
        source_time: time.or(recorded_at),
        copies: copies(data)?,
    })
}

fn consent<'a>(data: &'a Data<'a>, subject: &'a str, at: Millis) -> Result<Consent<'a>, Refused> {
    Ok(Consent {
        subject,
        purpose: need(&data.purpose, "data.purpose", NAME_MAX)?,
        item: optional(&data.item, "data.item", ID_MAX)?,
        policy_version: name(&data.policy_version, "data.policy_version")?,
        at,
    })
}

fn copies<'a>(data: &'a Data<'a>) -> Result<Vec<CopyAt<'a>>, Refused> {
    match &data.copies {
        Given::Is(copies) if copies.len() > LIST_MAX => Err(too_many("data.copies")),
        Given::Is(copies) if !copies.is_empty() => {
            copies.iter().enumerate().map(|(n, c)| copy(n, c)).collect()
        }
        Given::Wrong => Err(Refused::wrong("data.copies", "an array of objects")),
        Given::Is(_) | Given::Absent => {
            Err(Refused::new("missing", "data.copies is missing: an item lies somewhere"))
        }
    }
}

fn copy<'a>(n: usize, copy: &'a CopyData<'a>) -> Result<CopyAt<'a>, Refused> {
    place(copy).map_err(|refused| refused.inside(&format!("data.copies[{n}]")))
}

fn place<'a>(copy: &'a CopyData<'a>) -> Result<CopyAt<'a>, Refused> {
    static NOWHERE: Locator = Locator::new();
    let locator = match &copy.locator {
        Given::Is(Place(locator)) => locator,
        Given::Absent => &NOWHERE,
        Given::Wrong => {
            return Err(Refused::wrong(
                "locator",
                "an object of strings and integers, each column once; a longer number comes as a string",
            ));
        }
    };
    if !crate::sealing::locator::fits(locator, LOCATOR_MAX) {
        return Err(Refused::new("too-long", "locator takes at most 1 KiB"));
    }
    Ok(CopyAt {
        system: need(&copy.system, "system", NAME_MAX)?,
        dataset: need(&copy.dataset, "dataset", NAME_MAX)?,
        locator,
        purposes: words(&copy.purposes, "purposes", NAME_MAX)?.map(sorted),
    })
}

/// Recipient, authority and reference as one JSON object, so that nobody has to guess which is which.
fn disclosure(data: &Data<'_>) -> Result<Option<String>, Refused> {
    let given = match &data.disclosure {
        Given::Absent => return Ok(None),
        Given::Wrong => return Err(Refused::wrong("data.disclosure", "an object")),
        Given::Is(given) => given,
    };
    let json = serde_json::json!({
        "to": need(&given.to, "data.disclosure.to", NAME_MAX)?,
        "authority": name(&given.authority, "data.disclosure.authority")?,
        "reference": name(&given.reference, "data.disclosure.reference")?,
    });
    Ok(Some(json.to_string()))
}

fn values<'a>(data: &'a Data<'a>) -> Result<&'a [(String, Option<String>)], Refused> {
    match &data.values {
        Given::Is(values) if values.0.is_empty() => Err(Refused::missing("data.values")),
        Given::Is(values) if values.0.len() > LIST_MAX => Err(too_many("data.values")),
        Given::Is(values) => {
            let length = |(k, v): &(String, Option<String>)| k.len() + v.as_ref().map_or(0, String::len);
            if values.0.iter().map(length).sum::<usize>() > VALUE_MAX {
                return Err(Refused::new("too-long", "data.values takes at most 64 KiB"));
            }
            Ok(&values.0)
        }
        Given::Absent => Err(Refused::missing("data.values")),
        Given::Wrong => Err(Refused::wrong("data.values", "an object of category to string or null")),
    }
}

fn name<'a>(text: &'a Text<'_>, field: &str) -> Result<Option<&'a str>, Refused> {
    optional(text, field, NAME_MAX)
}

fn need<'a>(text: &'a Text<'_>, field: &str, max: usize) -> Result<&'a str, Refused> {
    optional(text, field, max)?.ok_or_else(|| Refused::missing(field))
}

fn optional<'a>(text: &'a Text<'_>, field: &str, max: usize) -> Result<Option<&'a str>, Refused> {
    match text {
        Given::Absent => Ok(None),
        Given::Wrong => Err(Refused::wrong(field, "a string")),
        Given::Is(text) => bounded(text, field, max).map(Some),
    }
}

fn bounded<'a>(text: &'a str, field: &str, max: usize) -> Result<&'a str, Refused> {
    if text.trim().is_empty() {
        return Err(Refused::new("empty", format!("{field} is empty")));
    }
    if text.len() > max {
        return Err(Refused::new("too-long", format!("{field} takes at most {max} bytes")));
    }
    let is_plain = text.bytes().all(|b| matches!(b, b' '..=b'~'));
    if !is_plain && text.chars().any(char::is_control) {
        return Err(Refused::new("control-characters", format!("{field} holds control characters")));
    }
    Ok(text)
}

fn words<'a>(given: &'a Given<Words<'_>>, field: &str, max: usize) -> Result<Option<Vec<&'a str>>, Refused> {
    match given {
        Given::Absent => Ok(None),
        Given::Wrong => Err(Refused::wrong(field, "a string or an array of strings")),
        Given::Is(Words(words)) if words.len() > LIST_MAX => Err(too_many(field)),
        Given::Is(Words(words)) => {
            words.iter().map(|w: &Cow<'_, str>| bounded(w, field, max)).collect::<Result<_, _>>().map(Some)
        }
    }
}

fn sorted(mut words: Vec<&str>) -> Vec<&str> {
    words.sort_unstable();
    words.dedup();
    words
}

fn moment(time: &Time<'_>, field: &str) -> Result<Option<Millis>, Refused> {
    match time {
        Given::Absent => Ok(None),
        Given::Wrong => Err(Refused::wrong(field, "an RFC 3339 time as a string")),
        Given::Is(time) => match time.millis() {
            Some(at) => Ok(Some(at)),
            None => {
                Err(Refused::new("bad-time", format!("{field} must be an RFC 3339 time with a zone or Z")))
            }
        },
    }
}

fn too_many(field: &str) -> Refused {
    Refused::new("too-many", format!("{field} takes at most {LIST_MAX}"))
}
