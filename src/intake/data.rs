//! The `data` of every lifecycle event, read once, without a tree of JSON values.
//!
//! The fields mean the same in every type, so one struct holds them all; what a type does not use is not looked
//! at, and unknown fields are passed over. Invariant: well-formed JSON is always read; a field of the wrong type
//! is remembered as such, so that the refusal can name it. Rejected: one struct per type, which could be read only
//! after `type`, and `type` may follow `data`.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use quietus_contract::{Locator, Scalar, Secret};
use quietus_core::time::Millis;
use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

pub type Text<'a> = Given<Cow<'a, str>>;
pub type Time<'a> = Given<At<'a>>;

#[derive(Default, Deserialize, PartialEq)]
#[serde(default)]
pub struct Data<'a> {
    #[serde(borrow)]
    pub item: Text<'a>,
    #[serde(borrow)]
    pub subject: Text<'a>,
    #[serde(borrow)]
    pub category: Given<Words<'a>>,
    #[serde(borrow)]
    pub purposes: Given<Words<'a>>,
    #[serde(borrow)]
    pub jurisdiction: Text<'a>,
    #[serde(borrow)]
    pub process: Text<'a>,
    #[serde(borrow)]
    pub controller: Text<'a>,
    #[serde(borrow)]
    pub service: Text<'a>,
    #[serde(borrow)]
    pub recorded_at: Time<'a>,
    #[serde(borrow)]
    pub copies: Given<Vec<CopyData<'a>>>,
    #[serde(borrow)]
    pub disclosure: Given<Disclosure<'a>>,
    #[serde(borrow)]
    pub at: Time<'a>,
    #[serde(borrow)]
    pub system: Text<'a>,
    #[serde(borrow)]
    pub dataset: Text<'a>,
    pub values: Given<Values>,
    #[serde(borrow)]
    pub purpose: Text<'a>,
    #[serde(borrow)]
    pub policy_version: Text<'a>,
    #[serde(borrow)]
    pub event: Text<'a>,
    #[serde(borrow)]
    pub also: Given<Words<'a>>,
}

#[derive(Default, Deserialize, PartialEq)]
#[serde(default)]
pub struct CopyData<'a> {
    #[serde(borrow)]
    pub system: Text<'a>,
    #[serde(borrow)]
    pub dataset: Text<'a>,
    pub locator: Given<Place>,
    #[serde(borrow)]
    pub purposes: Given<Words<'a>>,
}

#[derive(Default, Deserialize, PartialEq)]
#[serde(default)]
pub struct Disclosure<'a> {
    #[serde(borrow)]
    pub to: Text<'a>,
    #[serde(borrow)]
    pub authority: Text<'a>,
    #[serde(borrow)]
    pub reference: Text<'a>,
}

/// What stood in a field.
#[derive(Default, PartialEq)]
pub enum Given<T> {
    /// Left out, or null.
    #[default]
    Absent,
    /// Something of another type.
    Wrong,
    Is(T),
}

/// A time: as somebody wrote it, or known already.
pub enum At<'a> {
    Written(Cow<'a, str>),
    Known(Millis),
}

impl At<'_> {
    /// None = what is written is no RFC 3339 time with a zone or Z.
    pub fn millis(&self) -> Option<Millis> {
        match self {
            Self::Written(text) => Millis::parse(text),
            // What no calendar has is refused as well as what cannot be read.
            Self::Known(at) => at.is_dated().then_some(*at),
        }
    }
}

impl PartialEq for At<'_> {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Written(one), Self::Written(other)) => one == other,
            _ => self.millis() == other.millis(),
        }
    }
}

/// A string, or an array of strings.
#[derive(PartialEq)]
pub struct Words<'a>(pub Vec<Cow<'a, str>>);

/// A locator with more columns is longer than any may be: those beyond are not kept.
pub const COLUMNS_MAX: usize = 512;

/// A locator: an object of strings and numbers.
#[derive(PartialEq)]
pub struct Place(pub Locator);

/// Category → new value; None clears.
#[derive(PartialEq)]
pub struct Values(pub Vec<(String, Option<String>)>);

/// Debug output names the type alone: what an event says is personal data, and logs are read by many.
macro_rules! opaque {
    ($($name:literal $type:ty,)*) => {
        $(impl std::fmt::Debug for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str($name)
            }
        })*
    };
}
pub(super) use opaque;

opaque! {
    "Data" Data<'_>,
    "CopyData" CopyData<'_>,
    "Disclosure" Disclosure<'_>,
    "At" At<'_>,
    "Words" Words<'_>,
    "Place" Place,
    "Values" Values,
}

impl<T> fmt::Debug for Given<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Absent => "Absent",
            Self::Wrong => "Wrong",
            Self::Is(_) => "Is(•••)",
        })
    }
}

/// What can be made of each JSON type; None = the wrong one.
trait Read<'de>: Sized {
    fn text(_: Cow<'de, str>) -> Option<Self> {
        None
    }
    fn integer(_: i64) -> Option<Self> {
        None
    }
    fn number(_: f64) -> Option<Self> {
        None
    }
    fn array<A: SeqAccess<'de>>(mut items: A) -> Result<Option<Self>, A::Error> {
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(None)
    }
    fn object<A: MapAccess<'de>>(mut fields: A) -> Result<Option<Self>, A::Error> {
        while fields.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(None)
    }
}

impl<'de: 'a, 'a> Read<'de> for Cow<'a, str> {
    fn text(text: Cow<'de, str>) -> Option<Self> {
        Some(text)
    }
}

impl<'de: 'a, 'a> Read<'de> for At<'a> {
    fn text(text: Cow<'de, str>) -> Option<Self> {
        Some(Self::Written(text))
    }
}

impl<'de: 'a, 'a> Read<'de> for Words<'a> {
    fn text(text: Cow<'de, str>) -> Option<Self> {
        Some(Self(vec![text]))
    }

    fn array<A: SeqAccess<'de>>(items: A) -> Result<Option<Self>, A::Error> {
        Ok(all(items)?.map(Self))
    }
}

impl<'de: 'a, 'a> Read<'de> for Vec<CopyData<'a>> {
    fn array<A: SeqAccess<'de>>(items: A) -> Result<Option<Self>, A::Error> {
        all(items)
    }
}

impl<'de: 'a, 'a> Read<'de> for CopyData<'a> {
    fn object<A: MapAccess<'de>>(fields: A) -> Result<Option<Self>, A::Error> {
        Self::deserialize(MapAccessDeserializer::new(fields)).map(Some)
    }
}

impl<'de: 'a, 'a> Read<'de> for Disclosure<'a> {
    fn object<A: MapAccess<'de>>(fields: A) -> Result<Option<Self>, A::Error> {
        Self::deserialize(MapAccessDeserializer::new(fields)).map(Some)
    }
}

impl<'de: 'a, 'a> Read<'de> for Data<'a> {
    fn object<A: MapAccess<'de>>(fields: A) -> Result<Option<Self>, A::Error> {
        Self::deserialize(MapAccessDeserializer::new(fields)).map(Some)
    }
}

impl<'de> Read<'de> for Place {
    fn object<A: MapAccess<'de>>(mut fields: A) -> Result<Option<Self>, A::Error> {
        let (mut locator, mut fits) = (Locator::new(), true);
        while let Some((column, value)) = fields.next_entry::<String, Given<Scalar>>()? {
            match value {
                Given::Is(_) if locator.len() > COLUMNS_MAX => {}
                Given::Is(value) => fits &= locator.insert(column, value).is_none(),
                Given::Absent | Given::Wrong => fits = false,
            }
        }
        Ok(fits.then_some(Self(locator)))
    }
}

impl<'de> Read<'de> for Scalar {
    /// A text that is a decimal integer is that integer, so that `"7"` and `7` are one row; every other stays.
    fn text(text: Cow<'de, str>) -> Option<Self> {
        Some(super::identify::scalar(&text))
    }

    fn integer(value: i64) -> Option<Self> {
        Some(Self::Integer(value))
    }

    /// A double keeps 15 digits; a longer number might already be another one, and has to come as a string.
    fn number(value: f64) -> Option<Self> {
        let text = serde_json::Number::from_f64(value)?.to_string();
        let digits = text.bytes().filter(u8::is_ascii_digit).count();
        (digits <= 15 && !text.contains('e')).then(|| Self::Number(Secret::new(text)))
    }
}

impl<'de> Read<'de> for Values {
    fn object<A: MapAccess<'de>>(mut fields: A) -> Result<Option<Self>, A::Error> {
        let (mut values, mut fits) = (Vec::new(), true);
        while let Some((category, value)) = fields.next_entry::<String, Text<'de>>()? {
            match value {
                Given::Is(value) => values.push((category, Some(value.into_owned()))),
                Given::Absent => values.push((category, None)),
                Given::Wrong => fits = false,
            }
        }
        Ok(fits.then_some(Self(values)))
    }
}

/// Every item, or None when one of them is of another type.
fn all<'de, T: Read<'de>, A: SeqAccess<'de>>(mut items: A) -> Result<Option<Vec<T>>, A::Error> {
    // Most lists have one item, and items are large.
    let (mut read, mut fits) = (Vec::with_capacity(1), true);
    while let Some(item) = items.next_element::<Given<T>>()? {
        match item {
            Given::Is(item) => read.push(item),
            Given::Absent | Given::Wrong => fits = false,
        }
    }
    Ok(fits.then_some(read))
}

impl<'de, T: Read<'de>> Deserialize<'de> for Given<T> {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        d.deserialize_any(Any(PhantomData))
    }
}

struct Any<T>(PhantomData<T>);

impl<T> Any<T> {
    fn given<E>(read: Option<T>) -> Result<Given<T>, E> {
        Ok(read.map_or(Given::Wrong, Given::Is))
    }
}

impl<'de, T: Read<'de>> Visitor<'de> for Any<T> {
    type Value = Given<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Given<T>, E> {
        Self::given(T::text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Given<T>, E> {
        Self::given(T::text(Cow::Owned(text.to_owned())))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Given<T>, E> {
        Self::given(T::integer(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Given<T>, E> {
        Self::given(i64::try_from(value).ok().and_then(T::integer))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Given<T>, E> {
        Self::given(T::number(value))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Given<T>, E> {
        Ok(Given::Wrong)
    }

    fn visit_unit<E>(self) -> Result<Given<T>, E> {
        Ok(Given::Absent)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<Given<T>, A::Error> {
        T::array(items).map(|read| read.map_or(Given::Wrong, Given::Is))
    }

    fn visit_map<A: MapAccess<'de>>(self, fields: A) -> Result<Given<T>, A::Error> {
        T::object(fields).map(|read| read.map_or(Given::Wrong, Given::Is))
    }
}
