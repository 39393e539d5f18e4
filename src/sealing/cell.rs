//! Sealed cells: version byte, ciphertext, 16-byte tag. The nonce is computed, not stored.
//!
//! Invariant: a cell opens only in the place it was sealed for, because its key derives from the subject and its
//! nonce from everything else that names the place. A nonce that follows from the place comes again when the place
//! holds another value (two rows of one item in one table, a second correction); AES-256-GCM-SIV is made for that:
//! it then shows no more than whether two plaintexts are equal. Plain AES-GCM would give its key away.

use std::collections::BTreeMap;

use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, LessSafeKey, Nonce, UnboundKey};
use quietus_contract::{Locator, Secret};
use quietus_core::identity::{ItemKey, SubjectKey};

use super::keys::{Fields, Keys};
use super::locator;

/// Key = KDF(tenant key, SubjectKey).
const VERSION: u8 = 1;
const TAG: usize = 16;
/// The category under which all corrected values of one event or request are sealed, as one JSON object.
const CORRECTED: &str = "*";
/// The key that a person's values are sealed under: they are no item's.
const NO_ITEM: ItemKey = ItemKey([0; 16]);
/// What a cell costs on top of its plaintext.
pub const OVERHEAD: usize = 1 + TAG;

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    #[error(
        "the cell does not open: it was sealed under another tenant key or for another place, or it is damaged"
    )]
    DoesNotOpen,
    #[error(
        "the cell has version {0}, which this build does not know: use the build that wrote it, or a newer one"
    )]
    UnknownVersion(u8),
    #[error(
        "the cell opened, but what it holds is no locator: it was written by a newer build, or is no locator cell"
    )]
    NotALocator,
    #[error(
        "the cryptographic library refused: the value is too long, or the library is not usable on this machine"
    )]
    Crypto,
}

/// Seals what is one person's: the key is derived once for all of it.
#[derive(Debug)]
pub struct Sealer<'k> {
    keys: &'k Keys,
    subject: SubjectKey,
    key: LessSafeKey,
}

impl Sealer<'_> {
    pub fn is_of(&self, subject: &SubjectKey) -> bool {
        self.subject == *subject
    }

    /// Where a copy lies. Equal locators of one item give equal bytes, so the cell is the copy's identity too.
    pub fn locator(
        &self,
        item: &ItemKey,
        system: &str,
        dataset: &str,
        locator: &Locator,
    ) -> Result<Vec<u8>, SealError> {
        self.seal(&self.keys.copy_nonce(item, system, dataset), &locator::encode(locator))
    }

    /// A subject's identity, needed again for the read-back by identity fields and for partners.
    pub fn identity(&self, kind: &str, value: &str) -> Result<Vec<u8>, SealError> {
        let plain = zeroize::Zeroizing::new(format!("{kind}:{value}"));
        self.seal(&self.keys.nonce("identity", &[]), plain.as_bytes())
    }

    fn seal(&self, nonce: &[u8; 12], plain: &[u8]) -> Result<Vec<u8>, SealError> {
        let mut cell = Vec::with_capacity(plain.len() + OVERHEAD);
        cell.push(VERSION);
        cell.extend_from_slice(plain);
        let body = cell.get_mut(1..).ok_or(SealError::Crypto)?;
        let tag = self
            .key
            .seal_in_place_separate_tag(Nonce::assume_unique_for_key(*nonce), Aad::from([VERSION]), body)
            .map_err(|_| SealError::Crypto)?;
        cell.extend_from_slice(tag.as_ref());
        Ok(cell)
    }
}

impl Keys {
    pub fn sealer(&self, subject: &SubjectKey) -> Result<Sealer<'_>, SealError> {
        Ok(Sealer { keys: self, subject: *subject, key: self.cell_key(subject)? })
    }

    /// As [`Sealer::locator`].
    pub fn seal_locator(
        &self,
        subject: &SubjectKey,
        item: &ItemKey,
        system: &str,
        dataset: &str,
        locator: &Locator,
    ) -> Result<Vec<u8>, SealError> {
        self.sealer(subject)?.locator(item, system, dataset, locator)
    }

    pub fn open_locator(
        &self,
        subject: &SubjectKey,
        item: &ItemKey,
        system: &str,
        dataset: &str,
        cell: &[u8],
    ) -> Result<Locator, SealError> {
        let plain = self.open(subject, &self.copy_nonce(item, system, dataset), cell)?;
        locator::decode(&plain).ok_or(SealError::NotALocator)
    }

    /// As [`Sealer::identity`].
    pub fn seal_identity(&self, subject: &SubjectKey, kind: &str, value: &str) -> Result<Vec<u8>, SealError> {
        self.sealer(subject)?.identity(kind, value)
    }

    /// The identity as (type, normalised value).
    pub fn open_identity(&self, subject: &SubjectKey, cell: &[u8]) -> Result<(String, Secret), SealError> {
        let plain = self.open(subject, &self.nonce("identity", &[]), cell)?;
        let text = String::from_utf8(plain).map_err(|_| SealError::DoesNotOpen)?;
        let (kind, value) = text.split_once(':').ok_or(SealError::DoesNotOpen)?;
        Ok((kind.to_owned(), Secret::new(value)))
    }

    /// A corrected value, for one category of one item.
    pub fn seal_value(
        &self,
        subject: &SubjectKey,
        item: &ItemKey,
        category: &str,
        value: &str,
    ) -> Result<Vec<u8>, SealError> {
        self.sealer(subject)?.seal(&self.nonce("value", &[&item.0, category.as_bytes()]), value.as_bytes())
    }

    pub fn open_value(
        &self,
        subject: &SubjectKey,
        item: &ItemKey,
        category: &str,
        cell: &[u8],
    ) -> Result<Secret, SealError> {
        let plain = self.open(subject, &self.nonce("value", &[&item.0, category.as_bytes()]), cell)?;
        String::from_utf8(plain).map(Secret::new).map_err(|_| SealError::DoesNotOpen)
    }

    /// Corrected values by category, as one cell: an item's, or with none a person's, for every item of theirs.
    pub fn seal_corrections(
        &self,
        subject: &SubjectKey,
        item: Option<&ItemKey>,
        values: &BTreeMap<String, Option<String>>,
    ) -> Result<Vec<u8>, SealError> {
        let json = serde_json::to_string(values).map_err(|_| SealError::Crypto)?;
        self.seal_value(subject, item.unwrap_or(&NO_ITEM), CORRECTED, &json)
    }

    /// Of this item, or of the person as a whole.
    pub fn open_corrections(
        &self,
        subject: &SubjectKey,
        item: &ItemKey,
        cell: &[u8],
    ) -> Result<BTreeMap<String, Option<Secret>>, SealError> {
        let own = self.open_value(subject, item, CORRECTED, cell);
        let json = own.or_else(|_| self.open_value(subject, &NO_ITEM, CORRECTED, cell))?;
        let values: BTreeMap<String, Option<String>> =
            serde_json::from_str(json.reveal()).map_err(|_| SealError::DoesNotOpen)?;
        Ok(values.into_iter().map(|(category, value)| (category, value.map(Secret::new))).collect())
    }

    /// A dead letter's payload, which has no subject yet: `id` is the letter's own.
    pub fn seal_letter(&self, id: &str, payload: &[u8]) -> Result<Vec<u8>, SealError> {
        self.sealer(&SubjectKey([0; 16]))?.seal(&self.nonce("letter", &[id.as_bytes()]), payload)
    }

    pub fn open_letter(&self, id: &str, cell: &[u8]) -> Result<Vec<u8>, SealError> {
        self.open(&SubjectKey([0; 16]), &self.nonce("letter", &[id.as_bytes()]), cell)
    }

    fn copy_nonce(&self, item: &ItemKey, system: &str, dataset: &str) -> [u8; 12] {
        self.nonce("copy", &[&item.0, system.as_bytes(), dataset.as_bytes()])
    }

    fn nonce(&self, domain: &str, place: &[&[u8]]) -> [u8; 12] {
        let mut fields = Fields::begin(self.sealing(), "nonce");
        fields.field(domain.as_bytes());
        place.iter().for_each(|part| fields.field(part));
        fields.finish().first_chunk().copied().unwrap_or_default()
    }

    fn cell_key(&self, subject: &SubjectKey) -> Result<LessSafeKey, SealError> {
        let mut fields = Fields::begin(self.sealing(), "cell key 1");
        fields.field(&subject.0);
        let key = zeroize::Zeroizing::new(fields.finish());
        UnboundKey::new(&AES_256_GCM_SIV, key.as_slice()).map(LessSafeKey::new).map_err(|_| SealError::Crypto)
    }

    fn open(&self, subject: &SubjectKey, nonce: &[u8; 12], cell: &[u8]) -> Result<Vec<u8>, SealError> {
        let (version, sealed) = cell.split_first().ok_or(SealError::DoesNotOpen)?;
        if *version != VERSION {
            return Err(SealError::UnknownVersion(*version));
        }
        let mut plain = sealed.to_vec();
        let length = self
            .cell_key(subject)?
            .open_in_place(Nonce::assume_unique_for_key(*nonce), Aad::from([VERSION]), &mut plain)
            .map_err(|_| SealError::DoesNotOpen)?
            .len();
        plain.truncate(length);
        Ok(plain)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quietus_contract::Scalar;

    const SUBJECT: SubjectKey = SubjectKey([1; 16]);
    const ITEM: ItemKey = ItemKey([2; 16]);

    fn keys() -> Keys {
        Keys::from_tenant(&[0x42; 32]).unwrap()
    }

    fn locator(id: i64) -> Locator {
        Locator::from([("id".to_owned(), Scalar::Integer(id))])
    }

    fn hex(bytes: &[u8]) -> String {
        data_encoding::HEXLOWER.encode(bytes)
    }

    #[test]
    fn cells_are_frozen() {
        let keys = keys();
        let cell = keys.seal_locator(&SUBJECT, &ITEM, "shop-db", "shop.users", &locator(4711)).unwrap();
        assert_eq!(hex(&cell), "014bb950510c48fac16d2dd93734eb730098bdcc");
        assert_eq!(
            hex(&keys.seal_identity(&SUBJECT, "customer_id", "4711").unwrap()),
            "01ea23d0f01b4b7780990db0dd65a570f6bd8c8c0ea9c6f971a0de93d35795b7d5"
        );
        assert_eq!(
            hex(&keys.seal_value(&SUBJECT, &ITEM, "user.name", "Ann").unwrap()),
            "0157710d394e2a22f8c5c03b3dcae91ebf0d1c95"
        );
        assert_eq!(hex(&keys.seal_letter("dl_1", b"{}").unwrap()), "01e33bfe08148f0df0a15be2cf091fc4b9ea75");
    }

    #[test]
    fn what_was_sealed_opens_and_a_small_key_costs_little() {
        let keys = keys();
        let cell = keys.seal_locator(&SUBJECT, &ITEM, "s", "d", &locator(4711)).unwrap();
        assert!(cell.len() <= OVERHEAD + 4, "{} bytes", cell.len());
        assert_eq!(keys.open_locator(&SUBJECT, &ITEM, "s", "d", &cell), Ok(locator(4711)));
        let cell = keys.seal_identity(&SUBJECT, "email", "ann@example.org").unwrap();
        assert_eq!(
            keys.open_identity(&SUBJECT, &cell),
            Ok(("email".to_owned(), Secret::new("ann@example.org")))
        );
        let cell = keys.seal_value(&SUBJECT, &ITEM, "user.name", "Ann").unwrap();
        assert_eq!(keys.open_value(&SUBJECT, &ITEM, "user.name", &cell), Ok(Secret::new("Ann")));
        let values =
            BTreeMap::from([("user.name".to_owned(), Some("Ann".to_owned())), ("user.job".to_owned(), None)]);
        for item in [Some(&ITEM), None] {
            let cell = keys.seal_corrections(&SUBJECT, item, &values).unwrap();
            let opened = keys.open_corrections(&SUBJECT, &ITEM, &cell).unwrap();
            assert_eq!(opened["user.name"], Some(Secret::new("Ann")));
            assert_eq!(opened["user.job"], None);
        }
        let cell = keys.seal_letter("dl_1", b"payload").unwrap();
        assert_eq!(keys.open_letter("dl_1", &cell).unwrap(), b"payload");
    }

    #[test]
    fn a_cell_opens_nowhere_else() {
        let keys = keys();
        let cell = keys.seal_locator(&SUBJECT, &ITEM, "s", "d", &locator(1)).unwrap();
        let closed = Err(SealError::DoesNotOpen);
        assert_eq!(keys.open_locator(&SubjectKey([9; 16]), &ITEM, "s", "d", &cell), closed);
        assert_eq!(keys.open_locator(&SUBJECT, &ItemKey([9; 16]), "s", "d", &cell), closed);
        assert_eq!(keys.open_locator(&SUBJECT, &ITEM, "sd", "", &cell), closed);
        assert_eq!(keys.open_value(&SUBJECT, &ITEM, "s", &cell), Err(SealError::DoesNotOpen));
        assert_eq!(keys.open_identity(&SUBJECT, &cell), Err(SealError::DoesNotOpen));
        let other = Keys::from_tenant(&[0x43; 32]).unwrap();
        assert_eq!(other.open_locator(&SUBJECT, &ITEM, "s", "d", &cell), closed);
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_found() {
        let keys = keys();
        let cell = keys.seal_locator(&SUBJECT, &ITEM, "s", "d", &locator(1)).unwrap();
        for at in 0..cell.len() {
            for bit in 0..8 {
                let mut bent = cell.clone();
                bent[at] ^= 1 << bit;
                assert!(keys.open_locator(&SUBJECT, &ITEM, "s", "d", &bent).is_err(), "byte {at} bit {bit}");
            }
            assert!(keys.open_locator(&SUBJECT, &ITEM, "s", "d", &cell[..at]).is_err(), "cut at {at}");
        }
    }

    #[test]
    fn no_plaintext_shows_in_a_cell() {
        let cell = keys().seal_identity(&SUBJECT, "email", "ann@example.org").unwrap();
        assert!(!cell.windows(4).any(|w| w == b"ann@" || w == b"exam" || w == b"emai"));
    }
}
