//! Names of people and records inside the system: keyed hashes, never the values themselves.
//!
//! Invariant: nothing in this module can be turned back into an identity. The keys are made at intake from the
//! tenant key; the core only compares them. Rejected: random surrogate keys, which would need a look-up table
//! holding every identity in clear.

use std::fmt;

use data_encoding::BASE32_NOPAD;
use serde::{Deserialize, Serialize};

macro_rules! key16 {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        pub struct $name(pub [u8; 16]);

        impl $name {
            /// The key held in a slice of exactly 16 bytes.
            pub fn from_slice(bytes: &[u8]) -> Option<Self> {
                bytes.try_into().ok().map(Self)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&data_encoding::HEXLOWER.encode(&self.0))
            }
        }

        impl Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                s.serialize_bytes(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                let bytes: serde_bytes::ByteBuf = Deserialize::deserialize(d)?;
                Self::from_slice(&bytes).ok_or_else(|| serde::de::Error::invalid_length(bytes.len(), &"16 bytes"))
            }
        }
    };
}

key16!(
    /// A data subject's identity: HMAC-SHA-256 of `type:value`, cut to 16 bytes.
    SubjectKey
);
key16!(
    /// One record about one subject: keyed hash of its id, without the subject.
    ItemKey
);
key16!(
    /// A process (an order, a ticket, a treatment) of one subject: keyed hash of its id.
    ProcessKey
);

impl SubjectKey {
    /// The partition this subject lives in: the first four bytes, big endian, modulo `partitions`.
    pub fn partition(&self, partitions: u32) -> u32 {
        let [a, b, c, d, ..] = self.0;
        u32::from_be_bytes([a, b, c, d]) % partitions.max(1)
    }
}

/// An item, by the subject it is about and its own key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ItemId {
    pub subject: SubjectKey,
    pub item: ItemKey,
}

impl fmt::Display for ItemId {
    /// `it_` + first 4 bytes of the subject key + item key, base32 lower case: 32 characters.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = [0u8; 20];
        let (head, tail) = bytes.split_at_mut(4);
        head.copy_from_slice(self.subject.0.first_chunk::<4>().unwrap_or(&[0; 4]));
        tail.copy_from_slice(&self.item.0);
        write!(f, "it_{}", BASE32_NOPAD.encode(&bytes).to_lowercase())
    }
}

impl fmt::Debug for ItemId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What an `it_…` says: enough to find the partition's item, not enough to know the subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShownItem {
    pub subject_prefix: [u8; 4],
    pub item: ItemKey,
}

impl ShownItem {
    /// Reads `it_…` as shown by [`ItemId`]. None when it is not one.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = BASE32_NOPAD.decode(text.strip_prefix("it_")?.to_uppercase().as_bytes()).ok()?;
        let (prefix, item) = bytes.split_first_chunk::<4>()?;
        Some(Self { subject_prefix: *prefix, item: ItemKey::from_slice(item)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_item_is_shown_in_32_characters_and_read_back() {
        let id = ItemId { subject: SubjectKey([7; 16]), item: ItemKey([9; 16]) };
        let text = id.to_string();
        assert_eq!(text.len(), 3 + 32);
        assert_eq!(ShownItem::parse(&text), Some(ShownItem { subject_prefix: [7; 4], item: id.item }));
        assert_eq!(ShownItem::parse("it_nonsense"), None);
    }
}
