//! An identity as it stands in events, requests and on the command line: `type:value`, or a bare value.

use quietus_contract::{Identity, Secret};
use quietus_core::normalise::{Refusal, normalise};

/// Reads `type:value`, or a bare value of the default type, and normalises it.
pub fn parse_identity(text: &str, default_type: &str) -> Result<Identity, Refusal> {
    let (kind, value) = text.split_once(':').unwrap_or((default_type, text));
    Ok(Identity { kind: kind.to_owned(), value: Secret::new(normalise(kind, value)?) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_type_ends_at_the_first_colon_and_a_bare_value_takes_the_default() {
        let parsed =
            |text| parse_identity(text, "customer_id").map(|id| (id.kind, id.value.reveal().to_owned()));
        assert_eq!(parsed("4711"), Ok(("customer_id".to_owned(), "4711".to_owned())));
        assert_eq!(parsed("session:a:b"), Ok(("session".to_owned(), "a:b".to_owned())));
        assert_eq!(parse_identity("1", "Bad Default"), Err(Refusal::BadType));
    }
}
