//! The objects of a JSON array, one after the other.
//!
//! Invariant: where the body is no such array, the answer says in which line and column it stops being one.

use serde::de::IgnoredAny;

use super::cloudevent::{BATCH_BYTES_MAX, BATCH_EVENTS_MAX, Unreadable};

/// The objects of a JSON array, each as it stands.
pub fn elements(body: &[u8]) -> Result<Vec<&[u8]>, Unreadable> {
    each(body, |rest| value(body, rest))
}

/// What `read` makes of each object of a JSON array; it answers what follows too.
pub fn each<'a, T>(
    body: &'a [u8],
    read: impl Fn(&'a [u8]) -> Result<(T, &'a [u8]), Unreadable>,
) -> Result<Vec<T>, Unreadable> {
    if body.len() > BATCH_BYTES_MAX {
        return Err(Unreadable::BatchTooLarge);
    }
    let mut events = Vec::new();
    let mut rest = body.trim_ascii_start().strip_prefix(b"[").ok_or(Unreadable::NoBatch)?.trim_ascii_start();
    if let Some(after) = rest.strip_prefix(b"]") {
        return nothing(body, after).map(|()| events);
    }
    loop {
        let (event, tail) = read(rest)?;
        if events.len() == BATCH_EVENTS_MAX {
            return Err(Unreadable::BatchTooLarge);
        }
        events.push(event);
        let tail = tail.trim_ascii_start();
        match tail.split_first() {
            Some((b',', tail)) => rest = tail.trim_ascii_start(),
            Some((b']', tail)) => return nothing(body, tail).map(|()| events),
            _ => return Err(json_at(body, tail)),
        }
    }
}

/// Nothing but white space follows the batch.
fn nothing(body: &[u8], rest: &[u8]) -> Result<(), Unreadable> {
    let rest = rest.trim_ascii_start();
    if rest.is_empty() { Ok(()) } else { Err(json_at(body, rest)) }
}

/// The object at the head of `rest`, and what follows it.
pub fn value<'a>(body: &[u8], rest: &'a [u8]) -> Result<(&'a [u8], &'a [u8]), Unreadable> {
    if !rest.starts_with(b"{") {
        return Err(if rest.is_empty() { json_at(body, rest) } else { Unreadable::NoBatch });
    }
    let mut values = serde_json::Deserializer::from_slice(rest).into_iter::<IgnoredAny>();
    match values.next() {
        Some(Ok(_)) => rest.split_at_checked(values.byte_offset()).ok_or(Unreadable::NoBatch),
        Some(Err(e)) => {
            let Unreadable::Json { line, column } = json_at(body, rest) else {
                return Err(Unreadable::NoBatch);
            };
            let before = if e.line() > 1 { 0 } else { column.saturating_sub(1) };
            Err(Unreadable::Json { line: line + e.line().saturating_sub(1), column: before + e.column() })
        }
        None => Err(json_at(body, rest)),
    }
}

fn json_at(body: &[u8], rest: &[u8]) -> Unreadable {
    let read = body.get(..body.len().saturating_sub(rest.len())).unwrap_or_default();
    let line_start = read.iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1);
    Unreadable::Json {
        line: read.iter().filter(|b| **b == b'\n').count() + 1,
        column: read.len() - line_start + 1,
    }
}
