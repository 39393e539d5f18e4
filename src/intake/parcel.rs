//! A body of records that came over HTTP, taken apart.

use super::arrived::Arrived;
use super::cloudevent::{BATCH_EVENTS_MAX, Unreadable};
use super::elements::elements;

/// One record, a JSON array of objects, or one a line. Headers go with each, as Kafka would name them.
pub fn records<'h>(
    content_type: &str,
    headers: impl Iterator<Item = (&'h str, &'h str)>,
    body: &[u8],
) -> Result<Vec<Arrived>, Unreadable> {
    let media = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let headers: Vec<(String, Vec<u8>)> = headers
        .filter(|(name, _)| !matches!(*name, "authorization" | "cookie"))
        .map(|(name, value)| {
            let name = name.strip_prefix("ce-").map_or_else(|| name.to_owned(), |rest| format!("ce_{rest}"));
            (name, value.as_bytes().to_vec())
        })
        .collect();
    let lines =
        matches!(media.as_str(), "application/x-ndjson" | "application/jsonl" | "application/x-jsonlines");
    let values: Vec<&[u8]> = if lines {
        body.split(|b| *b == b'\n').map(<[u8]>::trim_ascii).filter(|line| !line.is_empty()).collect()
    } else if body.trim_ascii_start().starts_with(b"[") {
        elements(body)?
    } else {
        vec![body]
    };
    if values.len() > BATCH_EVENTS_MAX {
        return Err(Unreadable::BatchTooLarge);
    }
    Ok(values
        .into_iter()
        .map(|value| Arrived { headers: headers.clone(), ..Arrived::value(value) })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_many_and_lines() {
        let read =
            |media: &str, body: &str| records(media, std::iter::empty(), body.as_bytes()).map(|r| r.len());
        assert_eq!(read("application/json", r#"{"a":1}"#), Ok(1));
        assert_eq!(read("application/json", r#" [{"a":1}, {"a":"]"}]"#), Ok(2));
        assert_eq!(read("application/json", "[]"), Ok(0));
        assert_eq!(
            read("application/x-ndjson; charset=utf-8", "{\n}\n\n{}"),
            Ok(3),
            "what a line holds is for the mapping"
        );
        assert!(read("application/json", "[{},").is_err());
        let with = records("", [("ce-id", "1"), ("authorization", "Bearer x")].into_iter(), b"{}").unwrap();
        assert_eq!(with[0].headers, [("ce_id".to_owned(), b"1".to_vec())]);
    }
}
