//! What a column's plain value means, as its schema or the source says.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use quietus_core::source::Unit;
use quietus_core::time::Millis;

use super::tree::Tree;
use crate::intake::refuse::Refused;

/// Column → its type, where the schema gives it one of these.
pub type Types = BTreeMap<String, Logical>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Logical {
    Days,
    Millis,
    Micros,
    Nanos,
    /// Big-endian two's complement with so many decimal places.
    Decimal(u32),
}

impl Logical {
    /// By the name that Kafka Connect and Debezium give a type.
    pub fn of(name: &str, scale: Option<u32>) -> Option<Self> {
        Some(match name {
            "io.debezium.time.Date" | "org.apache.kafka.connect.data.Date" => Self::Days,
            "io.debezium.time.Timestamp" | "org.apache.kafka.connect.data.Timestamp" => Self::Millis,
            "io.debezium.time.MicroTimestamp" => Self::Micros,
            "io.debezium.time.NanoTimestamp" => Self::Nanos,
            "org.apache.kafka.connect.data.Decimal" => Self::Decimal(scale.unwrap_or_default()),
            _ => return None,
        })
    }

    /// The value in its meaning; one that does not fit stays as it is.
    pub fn read(self, value: &Tree) -> Option<Tree> {
        let time = |ms: Option<i64>| ms.map(|ms| Tree::Time(Millis(ms)));
        match (self, value) {
            (Self::Days, Tree::Int(n)) => time(Unit::Days.millis(*n)),
            (Self::Millis, Tree::Int(n)) => time(Some(*n)),
            (Self::Micros, Tree::Int(n)) => time(Unit::Us.millis(*n)),
            (Self::Nanos, Tree::Int(n)) => time(Some(n.div_euclid(1_000_000))),
            (Self::Decimal(scale), Tree::Text(text)) => decimal(&STANDARD.decode(text).ok()?, scale),
            (Self::Decimal(scale), Tree::Bytes(bytes)) => decimal(bytes, scale),
            _ => None,
        }
    }
}

/// As a database writes it; beyond 128 bits it is nobody's key.
pub fn decimal(bytes: &[u8], scale: u32) -> Option<Tree> {
    if bytes.is_empty() || bytes.len() > 16 || scale > 38 {
        return None;
    }
    let negative = bytes.first().is_some_and(|b| b & 0x80 != 0);
    let mut wide = [if negative { 0xff } else { 0 }; 16];
    wide.iter_mut().rev().zip(bytes.iter().rev()).for_each(|(to, from)| *to = *from);
    let unscaled = i128::from_be_bytes(wide);
    if scale == 0 {
        return Some(i64::try_from(unscaled).map_or_else(|_| Tree::Number(unscaled.to_string()), Tree::Int));
    }
    let digits = format!("{:0>width$}", unscaled.unsigned_abs(), width = scale as usize + 1);
    let (whole, part) = digits.split_at_checked(digits.len() - scale as usize)?;
    let sign = if unscaled < 0 { "-" } else { "" };
    Some(Tree::Number(format!("{sign}{whole}.{part}")))
}

/// A time column or field; None = there is none. `field` names it in a refusal.
pub fn time(value: &Tree, unit: Option<Unit>, field: &str) -> Result<Option<Millis>, Refused> {
    let bad = |must: &str| Refused::new("bad-time", format!("{field} {must}"));
    match (value, unit) {
        (Tree::Null, _) => Ok(None),
        (Tree::Time(at), _) => Ok(Some(*at)),
        (Tree::Int(n), Some(unit)) => unit
            .millis(*n)
            .map(|ms| Some(Millis(ms)))
            .ok_or_else(|| bad("lies beyond any calendar: look at its unit")),
        (Tree::Float(n), Some(unit)) if n.is_finite() && n.abs() < 1e15 => {
            let ms = match unit {
                Unit::S => n * 1_000.0,
                Unit::Ms => *n,
                Unit::Us => n / 1_000.0,
                Unit::Days => n * 86_400_000.0,
            };
            #[expect(clippy::cast_possible_truncation, reason = "bounded above, and rounded down on purpose")]
            Ok(Some(Millis(ms.floor() as i64)))
        }
        (Tree::Text(text), Some(_)) if text.parse::<i64>().is_ok() => {
            time(&Tree::Int(text.parse().unwrap_or_default()), unit, field)
        }
        (Tree::Text(text), _) => match Millis::parse(text).or_else(|| date(text)) {
            Some(at) => Ok(Some(at)),
            None => Err(bad("must be an RFC 3339 time with a zone or Z")),
        },
        (Tree::Int(_) | Tree::Float(_), None) => Err(bad(
            "is a bare number: say its unit (`unit: s|ms|us|days`), send the schema along, or send RFC 3339",
        )),
        _ => Err(bad("is no time")),
    }
}

/// A date alone is its first instant in UTC: `1990-02-03`, `1990-02-03Z`.
fn date(text: &str) -> Option<Millis> {
    let day = text.strip_suffix('Z').unwrap_or(text);
    (day.len() == 10).then(|| Millis::parse(&format!("{day}T00:00:00Z")))?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_connect_writes_is_read() {
        assert_eq!(decimal(&STANDARD.decode("BOI=").unwrap(), 2), Some(Tree::Number("12.50".into())));
        assert_eq!(decimal(&[0xff], 2), Some(Tree::Number("-0.01".into())));
        assert_eq!(decimal(&[0x01, 0x00], 0), Some(Tree::Int(256)));
        let read = |name: &str, n| Logical::of(name, None).unwrap().read(&Tree::Int(n));
        assert_eq!(read("io.debezium.time.Date", 7338), Some(Tree::Time(Millis(7338 * 86_400_000))));
        assert_eq!(read("io.debezium.time.MicroTimestamp", -1), Some(Tree::Time(Millis(-1))));
        assert_eq!(read("io.debezium.time.NanoTimestamp", 2_000_001), Some(Tree::Time(Millis(2))));
        assert_eq!(Logical::of("io.debezium.data.Uuid", None), None);
    }

    #[test]
    fn a_bare_number_is_no_time_without_its_unit() {
        let n = Tree::Int(1_700_000_000);
        assert_eq!(time(&n, Some(Unit::S), "at").unwrap(), Some(Millis(1_700_000_000_000)));
        assert!(time(&n, None, "at").unwrap_err().detail.contains("unit: s|ms|us|days"));
        let text = |t: &str| time(&Tree::Text(t.into()), None, "at");
        assert_eq!(text("1990-02-03Z").unwrap(), text("1990-02-03T00:00:00.000000Z").unwrap());
        assert!(text("1990-02-03 10:00").is_err() && text("soon").is_err());
        assert_eq!(time(&Tree::Null, None, "at").unwrap(), None);
        assert!(time(&Tree::Int(i64::MAX), Some(Unit::Days), "at").is_err());
    }
}
