//! ETags of stored documents, and `If-Match`: honoured, never asked for.

use axum::http::header::{ETAG, IF_MATCH};
use axum::http::{HeaderMap, HeaderName};

use super::problem::Refused;

/// The document's ETag, quoted.
pub fn of(document: &str) -> String {
    of_bytes(document.as_bytes())
}

pub fn of_bytes(document: &[u8]) -> String {
    let hash = blake3::hash(document);
    let short = hash.as_bytes().first_chunk::<16>().copied().unwrap_or_default();
    format!("\"{}\"", data_encoding::HEXLOWER.encode(&short))
}

pub fn header(document: &str) -> [(HeaderName, String); 1] {
    [(ETAG, of(document))]
}

/// 412 when the caller changed something else than what stands.
pub fn check(headers: &HeaderMap, known: Option<&str>) -> Result<(), Refused> {
    let Some(wanted) = headers.get(IF_MATCH) else { return Ok(()) };
    let wanted = wanted.to_str().unwrap_or_default();
    let tag = known.map(of);
    let fits = match &tag {
        Some(tag) => wanted.split(',').map(str::trim).any(|w| w == "*" || w == tag),
        None => false,
    };
    if fits {
        return Ok(());
    }
    let detail = "it is not what `If-Match` names: get it again, and change that";
    Err(Refused::new(412, "changed-meanwhile", "Changed meanwhile", detail))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn if_match_takes_what_stands_and_nothing_else() {
        let with = |value: &str| HeaderMap::from_iter([(IF_MATCH, value.parse().unwrap())]);
        assert!(check(&HeaderMap::new(), None).is_ok());
        assert!(check(&with("*"), Some("a")).is_ok());
        assert!(check(&with("*"), None).is_err());
        assert!(check(&with(&format!("\"x\", {}", of("a"))), Some("a")).is_ok());
        assert!(check(&with(&of("b")), Some("a")).is_err());
    }
}
