//! Locator values as the column's type, and SQLite's values as something that can be compared and ordered.
//!
//! SQLite converts as it compares, and trims as it converts: a bound `' 42 '` would match the integer 42. So the
//! conversion is done here, exactly once, and what no row of such a column can hold is told apart from absent.

use quietus_contract::Scalar;
use rusqlite::types::{Value, ValueRef};

/// SQLite's column affinities, as its documentation derives them from the declared type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Affinity {
    Integer,
    Real,
    Numeric,
    Text,
    /// Declared BLOB: locators are hexadecimal text.
    Blob,
    /// No type at all, or ANY of a strict table: as bound.
    Any,
}

impl Affinity {
    pub(crate) fn of(declared: &str, strict: bool) -> Self {
        let upper = declared.to_ascii_uppercase();
        let has = |part: &str| upper.contains(part);
        if upper.is_empty() || (strict && upper == "ANY") {
            Self::Any
        } else if has("INT") {
            Self::Integer
        } else if has("CHAR") || has("CLOB") || has("TEXT") {
            Self::Text
        } else if has("BLOB") {
            Self::Blob
        } else if has("REAL") || has("FLOA") || has("DOUB") {
            Self::Real
        } else {
            Self::Numeric
        }
    }
}

/// The value to bind for a column of this affinity; None when no row of it can hold this.
pub(crate) fn typed(scalar: &Scalar, affinity: Affinity) -> Option<Value> {
    match scalar {
        Scalar::Integer(i) if affinity == Affinity::Text => Some(Value::Text(i.to_string())),
        Scalar::Integer(i) => Some(Value::Integer(*i)),
        Scalar::Number(n) if affinity == Affinity::Text => Some(Value::Text(n.reveal().to_owned())),
        Scalar::Number(n) => number(n.reveal()),
        Scalar::Text(t) => typed_text(t.reveal(), affinity),
    }
}

/// As [`typed`], for a text: a locator's, a mask's, a corrected value's.
pub(crate) fn typed_text(text: &str, affinity: Affinity) -> Option<Value> {
    match affinity {
        Affinity::Text | Affinity::Any => Some(Value::Text(text.to_owned())),
        Affinity::Blob => Some(bytes(text).map_or_else(|| Value::Text(text.to_owned()), Value::Blob)),
        Affinity::Integer | Affinity::Real | Affinity::Numeric => match number(text) {
            Some(value) => Some(value),
            None if number(text.trim()).is_some() => None,
            None => Some(Value::Text(text.to_owned())),
        },
    }
}

/// A decimal number without surrounding space.
pub(crate) fn number(text: &str) -> Option<Value> {
    if let Ok(integer) = text.parse::<i64>() {
        return Some(Value::Integer(integer));
    }
    if !text.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'+' | b'-' | b'.' | b'e' | b'E')) {
        return None;
    }
    text.parse::<f64>().ok().filter(|r| r.is_finite()).map(Value::Real)
}

/// Hexadecimal, or a uuid with its dashes.
pub(crate) fn bytes(text: &str) -> Option<Vec<u8>> {
    let dashes = [8, 13, 18, 23];
    let is_uuid = text.len() == 36 && dashes.iter().all(|i| text.as_bytes().get(*i) == Some(&b'-'));
    let hex = if is_uuid { text.replace('-', "") } else { text.to_owned() };
    if !hex.len().is_multiple_of(2) {
        return None;
    }
    let digits: Option<Vec<u8>> =
        hex.chars().map(|c| c.to_digit(16).and_then(|d| u8::try_from(d).ok())).collect();
    Some(digits?.chunks_exact(2).map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | digit)).collect())
}

/// A value as it can stand in an ordered map: 7 and 7.0 are one.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Part {
    Null,
    Integer(i64),
    Real(u64),
    Text(String),
    Blob(Vec<u8>),
}

impl From<Value> for Part {
    fn from(value: Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Integer(i) => Self::Integer(i),
            Value::Real(r) => whole(r).map_or(Self::Real(r.to_bits()), Self::Integer),
            Value::Text(t) => Self::Text(t),
            Value::Blob(b) => Self::Blob(b),
        }
    }
}

/// A stored value; text that is no UTF-8 is read as near to it as can be, because one such row must not hide others.
pub(crate) fn stored(value: ValueRef<'_>) -> Value {
    match value {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(i) => Value::Integer(i),
        ValueRef::Real(r) => Value::Real(r),
        ValueRef::Text(t) => Value::Text(String::from_utf8_lossy(t).into_owned()),
        ValueRef::Blob(b) => Value::Blob(b.to_vec()),
    }
}

/// The integer this number is, where a double can tell integers apart.
pub(crate) fn whole(real: f64) -> Option<i64> {
    let exact = real.fract() == 0.0 && real.abs() < 9_007_199_254_740_992.0;
    exact.then_some(real as i64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use quietus_contract::Secret;

    #[test]
    fn values_take_the_columns_type_and_are_never_trimmed() {
        let text = |t: &str| Scalar::Text(Secret::new(t));
        assert_eq!(typed(&text("42"), Affinity::Integer), Some(Value::Integer(42)));
        assert_eq!(typed(&text(" 42 "), Affinity::Integer), None);
        assert_eq!(typed(&text("abc"), Affinity::Integer), Some(Value::Text("abc".into())));
        assert_eq!(typed(&text(" 42 "), Affinity::Text), Some(Value::Text(" 42 ".into())));
        assert_eq!(typed(&Scalar::Integer(42), Affinity::Text), Some(Value::Text("42".into())));
        assert_eq!(typed(&text("inf"), Affinity::Real), Some(Value::Text("inf".into())));
        assert_eq!(typed(&text("00ff"), Affinity::Blob), Some(Value::Blob(vec![0, 255])));
        assert_eq!(typed(&text("zz"), Affinity::Blob), Some(Value::Text("zz".into())));
        assert_eq!(bytes("00000000-0000-0000-0000-0000000000ff").map(|b| b.len()), Some(16));
    }

    #[test]
    fn affinity_follows_the_declared_type() {
        for (declared, affinity) in [
            ("BIGINT", Affinity::Integer),
            ("VARCHAR(9)", Affinity::Text),
            ("BLOB", Affinity::Blob),
            ("", Affinity::Any),
            ("DOUBLE", Affinity::Real),
            ("DATETIME", Affinity::Numeric),
        ] {
            assert_eq!(Affinity::of(declared, false), affinity, "{declared}");
        }
        assert_eq!(Affinity::of("ANY", true), Affinity::Any);
    }
}
