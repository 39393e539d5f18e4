//! Whom a call is after: identities by their one spelling, and the targets that each of them belongs to.

use std::collections::{BTreeSet, HashMap};

use quietus_contract::Target;
use quietus_core::normalise::normalise;

use crate::config::Set;
use crate::source::short_hash;

/// Positions in the call's targets.
pub(crate) type Whom = BTreeSet<usize>;

#[derive(Default)]
pub(crate) struct Wanted {
    by_kind: HashMap<String, HashMap<String, Whom>>,
}

impl Wanted {
    pub(crate) fn of<'a>(targets: impl Iterator<Item = (usize, &'a Target)>) -> Self {
        let mut by_kind: HashMap<String, HashMap<String, Whom>> = HashMap::new();
        for (position, target) in targets {
            for identity in &target.identities {
                let value = identity.value.reveal();
                let value = normalise(&identity.kind, value).unwrap_or_else(|_| value.to_owned());
                let of_kind = by_kind.entry(identity.kind.clone()).or_default();
                of_kind.entry(value).or_default().insert(position);
            }
        }
        Self { by_kind }
    }

    /// The same for the same people.
    pub(crate) fn fingerprint(&self) -> u64 {
        let mut all: Vec<(&str, &str)> = self
            .by_kind
            .iter()
            .flat_map(|(k, people)| people.keys().map(|v| (k.as_str(), v.as_str())))
            .collect();
        all.sort_unstable();
        let mut hash = blake3::Hasher::new();
        for (kind, value) in all {
            for text in [kind, value] {
                hash.update(&u64::try_from(text.len()).unwrap_or_default().to_le_bytes());
                hash.update(text.as_bytes());
            }
        }
        short_hash(&hash)
    }

    /// Everybody that a set's fields could name.
    pub(crate) fn reachable(&self, set: &Set) -> Whom {
        let kinds = set.fields.iter().filter_map(|(_, kind)| self.by_kind.get(kind));
        kinds.flat_map(|people| people.values()).flatten().copied().collect()
    }

    /// Adds those whom this field's text names.
    pub(crate) fn text(&self, kind: &str, text: &str, whom: &mut Whom) {
        let Some(people) = self.by_kind.get(kind) else { return };
        if let Ok(value) = normalise(kind, text) {
            whom.extend(people.get(&value).into_iter().flatten());
        }
    }

    /// A number means its value: `4711`, `4711.0` and `4.711e3` are one person.
    pub(crate) fn number(&self, kind: &str, written: &str, whom: &mut Whom) {
        self.text(kind, written, whom);
        if let Some(digits) = whole(written) {
            self.text(kind, &digits, whom);
        }
    }
}

/// The digits of a JSON number without fraction; None where it has one, or is too long to be anybody's name.
fn whole(written: &str) -> Option<String> {
    let (mantissa, exponent) = written.split_once(['e', 'E']).unwrap_or((written, "0"));
    let exponent: i64 = exponent.parse().ok()?;
    let (sign, digits) = mantissa.strip_prefix('-').map_or(("", mantissa), |rest| ("-", rest));
    let (before, after) = digits.split_once('.').unwrap_or((digits, ""));
    let point = i64::try_from(before.len()).ok()?.checked_add(exponent)?;
    let point = usize::try_from(point).ok().filter(|p| *p <= 64)?;
    let mut all = format!("{before}{after}");
    if all.get(point..).is_some_and(|fraction| fraction.bytes().any(|b| b != b'0')) {
        return None;
    }
    while all.len() < point {
        all.push('0');
    }
    let digits = all.get(..point)?.trim_start_matches('0');
    Some(if digits.is_empty() { "0".to_owned() } else { format!("{sign}{digits}") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_its_value_however_it_is_written() {
        for (written, wanted) in [
            ("4711", Some("4711")),
            ("-4711", Some("-4711")),
            ("4711.0", Some("4711")),
            ("4.711e3", Some("4711")),
            ("47110E-1", Some("4711")),
            ("0.0", Some("0")),
            ("12345678901234567890123", Some("12345678901234567890123")),
            ("4711.5", None),
            ("1e-3", None),
            ("1e999999999999", None),
        ] {
            assert_eq!(whole(written).as_deref(), wanted, "{written}");
        }
    }
}
