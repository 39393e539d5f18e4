//! Identities as people write them, made one: a type and a value in, the one spelling of the value out.
//!
//! Invariant: normalising twice changes nothing, and a refusal never repeats the value. Rejected: guessing a country
//! for a phone number, or dropping a `(0)`: a wrong guess would give one person two names, and an erasure would
//! then miss half of what it must reach.

use unicode_normalization::UnicodeNormalization;

/// A value's longest form, before and after normalising.
pub const MAX_VALUE_BYTES: usize = 1024;
/// A type's longest name.
pub const MAX_TYPE_BYTES: usize = 64;

/// Why an identity was not taken. Names the rule, never the value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error(
        "the identity type before the first colon must match [a-z][a-z0-9_]* and have at most 64 characters"
    )]
    BadType,
    #[error("the identity value is empty")]
    Empty,
    #[error("the identity value is longer than 1 KiB")]
    TooLong,
    #[error("the identity value holds control characters")]
    Control,
    #[error(
        "a phone_number must be E.164: + and country code, 7 to 15 digits in all, no trunk prefix such as (0); spaces, hyphens, dots and brackets between digits are dropped"
    )]
    NotE164,
}

impl Refusal {
    /// Stable, for dead letters and HTTP problems.
    pub fn code(self) -> &'static str {
        match self {
            Self::BadType => "identity_type",
            Self::Empty => "identity_empty",
            Self::TooLong => "identity_too_long",
            Self::Control => "identity_control_characters",
            Self::NotE164 => "identity_not_e164",
        }
    }
}

/// The one spelling of a value of this type.
pub fn normalise(kind: &str, value: &str) -> Result<String, Refusal> {
    if !is_type(kind) {
        return Err(Refusal::BadType);
    }
    let value = value.trim();
    if value.len() > MAX_VALUE_BYTES {
        return Err(Refusal::TooLong);
    }
    if value.chars().any(char::is_control) {
        return Err(Refusal::Control);
    }
    let value = match kind {
        "email" => value.to_lowercase().nfc().collect(),
        "phone_number" => phone(value)?,
        _ => value.to_owned(),
    };
    match value.len() {
        0 => Err(Refusal::Empty),
        1..=MAX_VALUE_BYTES => Ok(value),
        _ => Err(Refusal::TooLong),
    }
}

fn is_type(kind: &str) -> bool {
    kind.len() <= MAX_TYPE_BYTES
        && kind.starts_with(|c: char| c.is_ascii_lowercase())
        && kind.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}

fn phone(value: &str) -> Result<String, Refusal> {
    if value.is_empty() {
        return Err(Refusal::Empty);
    }
    let rest = value.strip_prefix('+').filter(|rest| !rest.contains("(0)")).ok_or(Refusal::NotE164)?;
    let mut number = String::from("+");
    for c in rest.chars() {
        match c {
            '0'..='9' => number.push(c),
            ' ' | '\u{a0}' | '-' | '.' | '/' | '(' | ')' => {}
            _ => return Err(Refusal::NotE164),
        }
    }
    if !(8..=16).contains(&number.len()) || number.starts_with("+0") {
        return Err(Refusal::NotE164);
    }
    Ok(number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parsed(text: &str) -> Result<(String, String), Refusal> {
        let (kind, value) = text.split_once(':').unwrap_or(("customer_id", text));
        normalise(kind, value).map(|value| (kind.to_owned(), value))
    }

    fn ok(kind: &str, value: &str) -> Result<(String, String), Refusal> {
        Ok((kind.to_owned(), value.to_owned()))
    }

    #[test]
    fn a_value_is_trimmed_and_a_type_has_its_form() {
        assert_eq!(parsed(" 4711\n"), ok("customer_id", "4711"));
        assert_eq!(parsed("account2_id:Ann"), ok("account2_id", "Ann"));
        for bad in [":x", "Customer:1", "2nd:1", "customer id:1", "größe:1", &format!("{}:1", "a".repeat(65))]
        {
            assert_eq!(parsed(bad), Err(Refusal::BadType), "{bad}");
        }
    }

    #[test]
    fn email_is_trimmed_lower_cased_and_composed() {
        assert_eq!(parsed("email: Ann@Example.ORG "), ok("email", "ann@example.org"));
        assert_eq!(parsed("email:ZOE\u{308}@example.org"), ok("email", "zoë@example.org"));
        assert_eq!(parsed("name:ZOE\u{308}"), ok("name", "ZOE\u{308}"));
    }

    #[test]
    fn a_phone_number_is_e164() {
        assert_eq!(parsed("phone_number:+49 (30) 901-820.0"), ok("phone_number", "+49309018200"));
        for bad in [
            "030 901820",
            "0049309018200",
            "+49 (0)30 901820",
            "+0309018200",
            "+12",
            "+1234567890123456",
            "+49 30 x",
        ] {
            assert_eq!(parsed(&format!("phone_number:{bad}")), Err(Refusal::NotE164), "{bad}");
        }
    }

    #[test]
    fn what_no_identity_can_be_is_refused() {
        for empty in ["", "   ", "email:", "customer_id: \t", "phone_number: "] {
            assert_eq!(parsed(empty), Err(Refusal::Empty), "{empty:?}");
        }
        assert_eq!(parsed("customer_id:a\u{0}b"), Err(Refusal::Control));
        assert_eq!(parsed("customer_id:a\nb"), Err(Refusal::Control));
        assert_eq!(parsed(&"x".repeat(1024)), ok("customer_id", &"x".repeat(1024)));
        assert_eq!(parsed(&"x".repeat(1025)), Err(Refusal::TooLong));
    }

    proptest! {
        #[test]
        fn normalising_again_changes_nothing_and_a_refusal_repeats_nothing(
            kind in "(email|phone_number|customer_id)", value in "(\\PC{0,30}|\\+[0-9 ()-]{5,20}|[A-Za-z\u{300}-\u{310}İΣß@.]{1,20})",
        ) {
            match normalise(&kind, &value) {
                Ok(once) => prop_assert_eq!(normalise(&kind, &once), Ok(once)),
                Err(refusal) => prop_assert!(value.trim().len() < 4 || !refusal.to_string().contains(value.trim())),
            }
        }
    }
}
