//! How a partner recognises us, and a request that comes again: Standard Webhooks signatures and Idempotency-Keys.

use aws_lc_rs::digest::{Context, SHA256};
use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use data_encoding::HEXLOWER;
use quietus_contract::CommandId;

/// How old a signature may be.
const TOLERANCE_MS: u64 = 5 * 60_000;

/// Signs as <https://www.standardwebhooks.com> says. Both sides sign. Its Debug shows no key.
pub struct Signer(hmac::Key);

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Signer(•••)")
    }
}

impl Signer {
    /// `whsec_` and base64, or any other text as it is.
    pub fn new(secret: &str) -> Result<Self, String> {
        let key = match secret.trim().strip_prefix("whsec_") {
            Some(encoded) => STANDARD.decode(encoded).map_err(|_| {
                "connection.secret begins with whsec_, and what follows is no base64".to_owned()
            })?,
            None => secret.trim().as_bytes().to_vec(),
        };
        if key.is_empty() {
            return Err("connection.secret is empty".to_owned());
        }
        Ok(Self(hmac::Key::new(hmac::HMAC_SHA256, &key)))
    }

    pub fn headers(&self, id: &str, now_ms: i64, body: &[u8]) -> [(&'static str, String); 3] {
        let at = now_ms.div_euclid(1000).to_string();
        let tag = hmac::sign(&self.0, &signed(id, &at, body));
        let signature = format!("v1,{}", STANDARD.encode(tag.as_ref()));
        [("webhook-id", id.to_owned()), ("webhook-timestamp", at), ("webhook-signature", signature)]
    }

    /// Whether whoever wrote this holds the same secret; `header` finds a header by its name. When it was written is
    /// looked at only against `now_ms`: over HTTP, where somebody may send again what they overheard.
    pub fn is_signed<'a>(
        &self,
        header: impl Fn(&str) -> Option<&'a str>,
        body: &[u8],
        now_ms: Option<i64>,
    ) -> bool {
        let (id, at) =
            (header("webhook-id").unwrap_or_default(), header("webhook-timestamp").unwrap_or_default());
        let fresh = |now: i64| {
            let written = at.parse::<i64>().ok().and_then(|at| at.checked_mul(1000));
            written.is_some_and(|written| now.abs_diff(written) <= TOLERANCE_MS)
        };
        let signed = signed(id, at, body);
        let tags = header("webhook-signature").unwrap_or_default().split(' ');
        let mut tags = tags.filter_map(|tag| STANDARD.decode(tag.strip_prefix("v1,")?).ok());
        now_ms.is_none_or(fresh) && tags.any(|tag| hmac::verify(&self.0, &signed, &tag).is_ok())
    }
}

fn signed(id: &str, at: &str, body: &[u8]) -> Vec<u8> {
    [format!("{id}.{at}.").as_bytes(), body].concat()
}

/// One name for these commands, with the jobs of each that have ended, about this content: the same whenever all of
/// that is, and for nothing else.
pub(crate) fn idempotency_key(
    system: &str,
    commands: impl Iterator<Item = (CommandId, u32)>,
    body: &str,
) -> String {
    let mut commands: Vec<(CommandId, u32)> = commands.collect();
    commands.sort();
    let mut hash = Context::new(&SHA256);
    let mut field = |bytes: &[u8]| {
        hash.update(&(bytes.len() as u64).to_le_bytes());
        hash.update(bytes);
    };
    field(b"quietus http request v1");
    field(system.as_bytes());
    for (command, ended) in commands {
        field(&command.0);
        field(&ended.to_le_bytes());
    }
    field(body.as_bytes());
    let digest = hash.finish();
    HEXLOWER.encode(digest.as_ref().get(..16).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_are_those_of_the_specification() {
        // The example that the specification's own libraries are tested with.
        let signer = Signer::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").expect("its secret");
        let [_, (_, at), (_, signature)] =
            signer.headers("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330_000, br#"{"test": 2432232314}"#);
        assert_eq!(at, "1614265330");
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
        assert!(Signer::new("whsec_?").is_err() && Signer::new(" ").is_err());
    }

    #[test]
    fn a_signature_is_of_one_message_by_one_secret() {
        let signer = Signer::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").expect("its secret");
        let written = signer.headers("m", 1_614_265_330_000, b"body");
        let header = |name: &str| written.iter().find(|(n, _)| *n == name).map(|(_, value)| value.as_str());
        assert!(signer.is_signed(header, b"body", None));
        assert!(signer.is_signed(header, b"body", Some(1_614_265_330_000 + 300_000)));
        assert!(!signer.is_signed(header, b"body", Some(1_614_265_330_000 + 300_001)));
        assert!(!signer.is_signed(header, b"bodY", None));
        assert!(!signer.is_signed(|name| header(name).filter(|_| name != "webhook-id"), b"body", None));
        assert!(!signer.is_signed(|_| None, b"body", None));
        assert!(!Signer::new("other").expect("a secret").is_signed(header, b"body", None));
    }

    #[test]
    fn a_key_names_its_commands_and_its_content() {
        let (a, b) = ((CommandId([1; 16]), 0), (CommandId([2; 16]), 0));
        let key =
            |commands: &[(CommandId, u32)], body: &str| idempotency_key("p", commands.iter().copied(), body);
        assert_eq!(key(&[a, b], "x"), key(&[b, a], "x"));
        assert_ne!(key(&[a, b], "x"), key(&[a], "x"));
        assert_ne!(key(&[a, b], "x"), key(&[a, b], "y"));
        assert_ne!(key(&[a], "x"), key(&[(a.0, 1)], "x"));
    }
}
