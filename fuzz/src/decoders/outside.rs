//! What partners and connectors of others send: signatures and confirmations.

use quietus_http::Signer;
use quietus_outside::{Command, Confirmation, read, write};

/// The time stands in the first line, the headers in the next three, the body behind them.
pub fn signature(bytes: &[u8]) {
    let mut parts = bytes.splitn(5, |b| *b == b'\n');
    let mut text = || std::str::from_utf8(parts.next().unwrap_or_default()).unwrap_or_default();
    let (now, id, at, tags) = (text(), text(), text(), text());
    let body = parts.next().unwrap_or_default();
    let header = |name: &str| match name {
        "webhook-id" => Some(id),
        "webhook-timestamp" => Some(at),
        "webhook-signature" => Some(tags),
        _ => None,
    };
    let signer = Signer::new("the secret that nobody who sends bytes knows").expect("a secret");
    assert!(!signer.is_signed(header, body, now.parse().ok()), "a signature without the secret");
    // Signed to the second, in years that a clock shows.
    let now: i64 = now.parse::<i64>().unwrap_or_default() % (1 << 52);
    let own = signer.headers(id, now, body);
    let mine = |name: &str| own.iter().find(|(n, _)| *n == name).map(|(_, value)| value.as_str());
    assert!(signer.is_signed(mine, body, Some(now)) && !signer.is_signed(mine, body, Some(now + 3_600_000)));
    // Whatever stands for a secret in a manifest is one, or is refused.
    let _ = Signer::new(tags);
}

/// An Avro record of the protocol, or the same as JSON.
pub fn confirmation(bytes: &[u8]) {
    if let Some(said) = read::<Confirmation>(bytes) {
        let again = write(&said).and_then(|bytes| read::<Confirmation>(&bytes));
        assert_eq!(again.as_ref(), Some(&said), "what is written is read");
    }
    if let Some(command) = read::<Command>(bytes) {
        let again = write(&command).and_then(|bytes| read::<Command>(&bytes));
        assert!(again.is_some_and(|again| again == command), "what is written is read");
    }
    if let Ok(said) = serde_json::from_slice::<Confirmation>(bytes) {
        assert_eq!(write(&said).and_then(|bytes| read(&bytes)), Some(said));
    }
}
