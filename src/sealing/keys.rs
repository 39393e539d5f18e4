//! The tenant key's children, and the keyed hashes that stand for people and records.
//!
//! Invariant: two different inputs never meet in one hash by concatenation; every field is length-prefixed and
//! every use has a domain of its own. The derivations are frozen by the golden tests below: a changed byte would
//! orphan every subject already recorded.

use std::fmt;

use aws_lc_rs::hkdf;
use hmac::{KeyInit, Mac};
use quietus_contract::{Locator, Scalar};
use quietus_core::identity::{ItemKey, ProcessKey, SubjectKey};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::cell::SealError;

/// A key made ready: a hash begins where its first block ends. By the crate that sha2 comes with: the other library asks
/// for half as much time again around the same instructions.
pub(super) type Key = hmac::Hmac<Sha256>;

/// Everything derived from one tenant key. Shows nothing of it.
#[derive(Clone)]
pub struct Keys {
    subject: Key,
    item: Key,
    seal: Key,
}

impl Keys {
    /// HKDF-SHA-256 over the tenant key, one child per label.
    pub fn from_tenant(tenant: &[u8; 32]) -> Result<Self, SealError> {
        let root = hkdf::Salt::new(hkdf::HKDF_SHA256, b"quietus v1").extract(tenant);
        let child = |label: &'static [u8]| -> Result<Key, SealError> {
            let mut key = Zeroizing::new([0u8; 32]);
            let info = [label];
            let okm = root.expand(&info, hkdf::HKDF_SHA256).map_err(|_| SealError::Crypto)?;
            okm.fill(key.as_mut_slice()).map_err(|_| SealError::Crypto)?;
            Key::new_from_slice(key.as_slice()).map_err(|_| SealError::Crypto)
        };
        Ok(Self { subject: child(b"subject")?, item: child(b"item")?, seal: child(b"seal")? })
    }

    /// The key of an identity whose value has been [normalised](quietus_core::normalise).
    pub fn subject_key(&self, kind: &str, normalised: &str) -> SubjectKey {
        SubjectKey(short(&self.subject, "identity", &[kind.as_bytes(), normalised.as_bytes()]))
    }

    /// The key of an item that its events name.
    pub fn item_key(&self, id: &str) -> ItemKey {
        ItemKey(short(&self.item, "named", &[canonical_text(id).as_bytes()]))
    }

    /// The key of an item that no event names: where its first copy lies, by its key columns alone. A locator
    /// read from JSON, Avro (all text) or a scan (typed) gives the same key.
    pub fn item_key_at(&self, system: &str, dataset: &str, key: &Locator) -> ItemKey {
        let mut hash = Fields::begin(&self.item, "located");
        hash.field(system.as_bytes());
        hash.field(dataset.as_bytes());
        for (column, value) in key {
            hash.field(column.as_bytes());
            match value {
                Scalar::Integer(n) => hash.field(n.to_string().as_bytes()),
                Scalar::Text(text) | Scalar::Number(text) => {
                    hash.field(canonical_text(text.reveal()).as_bytes())
                }
            }
        }
        ItemKey(hash.short())
    }

    /// The key of a process of this subject: the same order number of another customer is another process.
    pub fn process_key(&self, subject: &SubjectKey, id: &str) -> ProcessKey {
        ProcessKey(short(&self.item, "process", &[&subject.0, canonical_text(id).as_bytes()]))
    }

    /// What salts the audit chain's leaves: a leaf whose salt is gone says nothing about anyone.
    pub fn audit_salt(&self) -> [u8; 32] {
        Fields::begin(&self.item, "audit").finish()
    }

    /// Stands for what a caller sent, so that its repeat is known again and nothing can be tested against it.
    pub fn repeat_tag(&self, fields: &[&[u8]]) -> [u8; 32] {
        let mut hash = Fields::begin(&self.item, "repeat");
        fields.iter().for_each(|field| hash.field(field));
        hash.finish()
    }

    pub(super) fn sealing(&self) -> &Key {
        &self.seal
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keys(•••)")
    }
}

/// HMAC-SHA-256 over a domain and length-prefixed fields. Short ones are gathered: a library call for each would cost
/// as much as the hash.
pub(super) struct Fields<'k> {
    key: &'k Key,
    gathered: [u8; 256],
    len: usize,
    /// What was gathered before, once there was more than fits.
    begun: Option<Key>,
}

impl<'k> Fields<'k> {
    pub fn begin(key: &'k Key, domain: &str) -> Self {
        let mut fields = Self { key, gathered: [0; 256], len: 0, begun: None };
        fields.field(domain.as_bytes());
        fields
    }

    pub fn field(&mut self, bytes: &[u8]) {
        self.put(&(bytes.len() as u64).to_be_bytes());
        self.put(bytes);
    }

    pub fn finish(&mut self) -> [u8; 32] {
        self.pass_on().finalize().into_bytes().into()
    }

    fn put(&mut self, bytes: &[u8]) {
        match self.gathered.get_mut(self.len..self.len + bytes.len()) {
            Some(place) => {
                place.copy_from_slice(bytes);
                self.len += bytes.len();
            }
            None => {
                let mut begun = self.pass_on();
                begun.update(bytes);
                self.begun = Some(begun);
            }
        }
    }

    fn pass_on(&mut self) -> Key {
        let mut begun = self.begun.take().unwrap_or_else(|| self.key.clone());
        begun.update(self.gathered.get(..self.len).unwrap_or_default());
        self.len = 0;
        begun
    }

    fn short(&mut self) -> [u8; 16] {
        self.finish().first_chunk().copied().unwrap_or_default()
    }
}

fn short(key: &Key, domain: &str, fields: &[&[u8]]) -> [u8; 16] {
    let mut hash = Fields::begin(key, domain);
    fields.iter().for_each(|field| hash.field(field));
    hash.short()
}

/// A UUID in whatever case is one UUID; every other text is itself.
fn canonical_text(text: &str) -> std::borrow::Cow<'_, str> {
    if super::locator::is_uuid(text) { text.to_ascii_lowercase().into() } else { text.into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use quietus_contract::Secret;

    fn keys() -> Keys {
        Keys::from_tenant(&[0x42; 32]).unwrap()
    }

    fn text(s: &str) -> Scalar {
        Scalar::Text(Secret::new(s))
    }

    fn one(column: &str, value: Scalar) -> Locator {
        Locator::from([(column.to_owned(), value)])
    }

    #[test]
    fn the_derivations_are_frozen() {
        let keys = keys();
        let subject = keys.subject_key("customer_id", "4711");
        assert_eq!(format!("{subject:?}"), "41362e83fade629116508bb99585501d");
        assert_eq!(format!("{:?}", keys.item_key("order-1")), "b0f6d5c5e431c55203204d5fe8feab49");
        assert_eq!(
            format!("{:?}", keys.item_key_at("shop-db", "shop.users", &one("id", Scalar::Integer(7)))),
            "63febb6c97828d63a4220a816a3869fc"
        );
        assert_eq!(
            format!("{:?}", keys.process_key(&subject, "order-1")),
            "f3a744857d223342445a3a6f3a0c08ca"
        );
    }

    #[test]
    fn hkdf_and_hmac_agree_with_an_independent_computation() {
        // HKDF and HMAC by their definitions (RFC 5869, RFC 2104) over sha2, another implementation of the hash.
        use sha2::{Digest, Sha256};
        fn mac(key: &[u8], message: &[u8]) -> Vec<u8> {
            let mut block = [0u8; 64];
            block[..key.len()].copy_from_slice(key);
            let inner: Vec<u8> = block.iter().map(|b| b ^ 0x36).chain(message.iter().copied()).collect();
            let outer: Vec<u8> =
                block.iter().map(|b| b ^ 0x5c).chain(Sha256::digest(inner).iter().copied()).collect();
            Sha256::digest(outer).to_vec()
        }
        let extracted = mac(b"quietus v1", &[0x42; 32]);
        let subject = mac(&extracted, b"subject\x01");
        let mut message = Vec::new();
        for field in ["identity", "customer_id", "4711"] {
            message.extend_from_slice(&(field.len() as u64).to_be_bytes());
            message.extend_from_slice(field.as_bytes());
        }
        assert_eq!(keys().subject_key("customer_id", "4711").0, mac(&subject, &message)[..16]);
    }

    #[test]
    fn long_fields_hash_as_short_ones_do() {
        let keys = keys();
        for lengths in
            [vec![300], vec![10, 300, 10], vec![220, 20, 20], vec![239], vec![240], vec![1000, 1000]]
        {
            let fields: Vec<Vec<u8>> = lengths.iter().map(|len| vec![7; *len]).collect();
            let mut whole = keys.item.clone();
            for field in [b"repeat".to_vec()].iter().chain(&fields) {
                whole.update(&(field.len() as u64).to_be_bytes());
                whole.update(field);
            }
            let slices: Vec<&[u8]> = fields.iter().map(Vec::as_slice).collect();
            assert_eq!(keys.repeat_tag(&slices), *whole.finalize().into_bytes(), "{lengths:?}");
        }
    }

    #[test]
    fn fields_cannot_be_shifted_into_each_other() {
        let keys = keys();
        assert_ne!(keys.subject_key("ab", "c"), keys.subject_key("a", "bc"));
        let at = |system, dataset| keys.item_key_at(system, dataset, &one("id", Scalar::Integer(1)));
        assert_ne!(at("ab", "c"), at("a", "bc"));
        assert_ne!(
            keys.item_key_at("s", "d", &one("a", text("b"))),
            keys.item_key_at("s", "d", &one("ab", text("")))
        );
        let subject = keys.subject_key("t", "1");
        assert_ne!(keys.item_key("1").0, keys.process_key(&subject, "1").0);
        assert_ne!(keys.process_key(&subject, "1"), keys.process_key(&keys.subject_key("t", "2"), "1"));
    }

    #[test]
    fn one_locator_has_one_key_however_it_is_typed() {
        let keys = keys();
        let at = |value| keys.item_key_at("s", "d", &one("id", value));
        assert_eq!(at(Scalar::Integer(-42)), at(text("-42")));
        assert_ne!(at(text("42")), at(text("042")), "text is never trimmed or reinterpreted");
        let uuid = "6F9619FF-8B86-D011-B42D-00CF4FC964FF";
        assert_eq!(at(text(uuid)), at(text(&uuid.to_lowercase())));
        assert_ne!(at(text("ABC")), at(text("abc")));
    }

    #[test]
    fn another_tenant_key_gives_other_names_and_debug_shows_none() {
        let other = Keys::from_tenant(&[0x43; 32]).unwrap();
        assert_ne!(keys().subject_key("a", "b"), other.subject_key("a", "b"));
        assert_ne!(keys().item_key("a"), other.item_key("a"));
        assert_eq!(format!("{:?}", keys()), "Keys(•••)");
    }

    proptest! {
        #[test]
        fn different_identities_have_different_keys(a in "[a-c:]{0,4}", b in "[a-c:]{0,4}", c in "[a-c:]{0,4}", d in "[a-c:]{0,4}") {
            let keys = keys();
            prop_assert_eq!((&a, &b) == (&c, &d), keys.subject_key(&a, &b) == keys.subject_key(&c, &d));
        }
    }
}
