//! `POST /v1/events`: from a body to frames.

use quietus::intake::{Context, Feed, Intake, Options, read, remedy};
use quietus::ledger::codec::encode_frame;
use quietus::sealing::Keys;
use quietus_core::time::Millis;

use super::chosen;

/// First byte: even = a batch, odd = one event; 0x80 and more = its attributes are headers, which stand in the first line.
pub fn cloudevents(bytes: &[u8]) {
    let (how, body) = chosen(bytes);
    let (head, body) = match body.iter().position(|b| *b == b'\n') {
        Some(end) if how >= 0x80 => (&body[..end], &body[end + 1..]),
        _ => (&[][..], body),
    };
    let headers: Vec<(&str, &str)> = std::str::from_utf8(head)
        .unwrap_or_default()
        .split('\t')
        .filter_map(|header| header.split_once('='))
        .collect();
    let header = |name: &str| headers.iter().find(|(n, _)| *n == name).map(|(_, value)| *value);
    let media = match how {
        0x80.. => "application/json",
        _ if how % 2 == 0 => "application/cloudevents-batch+json",
        _ => "application/cloudevents+json",
    };
    let Ok(batch) = read(media, header, body) else { return };
    let (intake, context) = (intake(), context());
    let accepted = intake.accept(&batch, &Feed::default(), &context);
    assert_eq!(accepted.accepted + accepted.rejected.len(), batch.events.len(), "each is taken or refused");
    for rejected in &accepted.rejected {
        assert!(remedy(rejected.code).is_some(), "{} says not how to mend it", rejected.code);
    }
    for (_, frame) in &accepted.frames {
        encode_frame(frame).expect("what was taken in can be kept");
    }
}

pub fn intake() -> Intake {
    let keys = Keys::from_tenant(&[0; 32]).expect("a key of 32 bytes");
    Intake::new(keys, 4, Options { seen: 1, ..Options::default() })
}

pub fn context() -> Context {
    Context::new("customer_id", Millis(1_795_000_000_000)).with_system(&super::files::shop())
}
