//! A locator as few bytes: columns in order of their names until the bytes end, no count, no padding.
//!
//! A column = head byte (two bits of type, six bits of name length), name, value. `id` is the commonest key there
//! is and costs no name; integers are zigzag varints, lower-case UUIDs their 16 bytes. Invariant: one locator has
//! one encoding, and `decode` refuses every other, because a cell's bytes are the copy's identity. Rejected: leaving
//! the names to the dataset (a renamed column would point old cells at nothing).

use quietus_contract::{Locator, Scalar, Secret};

const TEXT: u8 = 0;
const INTEGER: u8 = 1;
const NUMBER: u8 = 2;
const UUID: u8 = 3;
/// Name length 0 in the head byte.
const COMMON_NAME: &str = "id";
/// In the head byte: the name's length follows as a varint.
const LONG_NAME: u8 = 63;

pub fn encode(locator: &Locator) -> Vec<u8> {
    let mut out = Vec::with_capacity(16);
    for (name, value) in locator {
        let (kind, uuid) = match value {
            Scalar::Integer(_) => (INTEGER, None),
            Scalar::Number(_) => (NUMBER, None),
            Scalar::Text(text) => match uuid_bytes(text.reveal()) {
                Some(bytes) => (UUID, Some(bytes)),
                None => (TEXT, None),
            },
        };
        encode_name(&mut out, kind, name);
        match (value, uuid) {
            (Scalar::Integer(n), _) => put_varint(&mut out, zigzag(*n)),
            (_, Some(bytes)) => out.extend_from_slice(&bytes),
            (Scalar::Text(text) | Scalar::Number(text), None) => {
                put_bytes(&mut out, text.reveal().as_bytes())
            }
        }
    }
    out
}

/// Whether its encoding takes at most so many bytes.
pub fn fits(locator: &Locator, max: usize) -> bool {
    let value = |value: &Scalar| match value {
        Scalar::Integer(_) => 0,
        Scalar::Text(text) | Scalar::Number(text) => text.reveal().len(),
    };
    // A head and two lengths, or an integer, are shorter than 24 bytes: mostly that is enough to know.
    let most: usize = locator.iter().map(|(name, v)| name.len() + value(v) + 24).sum();
    most <= max || encode(locator).len() <= max
}

/// None when the bytes are not what [`encode`] makes.
pub fn decode(mut bytes: &[u8]) -> Option<Locator> {
    let mut locator = Locator::new();
    while !bytes.is_empty() {
        let (kind, name) = decode_name(&mut bytes)?;
        if locator.keys().next_back().is_some_and(|last| *last >= name) {
            return None;
        }
        let value = match kind {
            INTEGER => Scalar::Integer(unzigzag(take_varint(&mut bytes)?)),
            NUMBER => Scalar::Number(Secret::new(take_text(&mut bytes)?)),
            UUID => Scalar::Text(Secret::new(uuid_text(take(&mut bytes, 16)?))),
            _ => Scalar::Text(Secret::new(take_text(&mut bytes).filter(|text| uuid_bytes(text).is_none())?)),
        };
        locator.insert(name, value);
    }
    Some(locator)
}

/// 8-4-4-4-12 hexadecimal digits, in either case.
pub fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(at, b)| match at {
            8 | 13 | 18 | 23 => b == b'-',
            _ => b.is_ascii_hexdigit(),
        })
}

fn uuid_bytes(text: &str) -> Option<[u8; 16]> {
    if !is_uuid(text) || text.bytes().any(|b| b.is_ascii_uppercase()) {
        return None;
    }
    let digits: Vec<u8> = text.bytes().filter(|b| *b != b'-').collect();
    data_encoding::HEXLOWER.decode(&digits).ok()?.try_into().ok()
}

fn uuid_text(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(36);
    for (at, digit) in data_encoding::HEXLOWER.encode(bytes).chars().enumerate() {
        if matches!(at, 8 | 12 | 16 | 20) {
            text.push('-');
        }
        text.push(digit);
    }
    text
}

fn encode_name(out: &mut Vec<u8>, kind: u8, name: &str) {
    let head = kind << 6;
    match u8::try_from(name.len()) {
        _ if name == COMMON_NAME => out.push(head),
        Ok(length @ 1..LONG_NAME) => {
            out.push(head | length);
            out.extend_from_slice(name.as_bytes());
        }
        _ => {
            out.push(head | LONG_NAME);
            put_bytes(out, name.as_bytes());
        }
    }
}

fn decode_name(bytes: &mut &[u8]) -> Option<(u8, String)> {
    let head = *take(bytes, 1)?.first()?;
    let (kind, length) = (head >> 6, head & LONG_NAME);
    if length == 0 {
        return Some((kind, COMMON_NAME.to_owned()));
    }
    let name = if length == LONG_NAME {
        take_text(bytes).filter(|name| name.is_empty() || name.len() >= usize::from(LONG_NAME))?
    } else {
        String::from_utf8(take(bytes, usize::from(length))?.to_vec()).ok()?
    };
    (name != COMMON_NAME).then_some((kind, name))
}

fn take<'a>(bytes: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (head, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    Some(head)
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

fn take_text(bytes: &mut &[u8]) -> Option<String> {
    let length = usize::try_from(take_varint(bytes)?).ok()?;
    String::from_utf8(take(bytes, length)?.to_vec()).ok()
}

fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn take_varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let byte = *take(bytes, 1)?.first()?;
        let part = u64::from(byte & 0x7f);
        // The tenth byte has room for one bit; a last byte of zero would be a second spelling.
        if (shift == 63 && part > 1) || (byte == 0 && shift > 0) {
            return None;
        }
        value |= part << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

fn unzigzag(value: u64) -> i64 {
    ((value >> 1) as i64) ^ -((value & 1) as i64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn scalar() -> impl Strategy<Value = Scalar> {
        prop_oneof![
            any::<i64>().prop_map(Scalar::Integer),
            ".{0,40}".prop_map(|t| Scalar::Text(Secret::new(t))),
            "-?[0-9]{1,30}(\\.[0-9]{1,9})?".prop_map(|t| Scalar::Number(Secret::new(t))),
            "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
                .prop_map(|t| Scalar::Text(Secret::new(t))),
            "[0-9A-F]{8}-[0-9A-F]{4}-[0-9A-F]{4}-[0-9A-F]{4}-[0-9A-F]{12}"
                .prop_map(|t| Scalar::Text(Secret::new(t))),
        ]
    }

    proptest! {
        #[test]
        fn a_locator_comes_back(columns in prop::collection::vec(("(id|[a-z_]{0,70}|.{0,5})", scalar()), 0..5)) {
            let locator: Locator = columns.into_iter().collect();
            let len = encode(&locator).len();
            prop_assert!(fits(&locator, len) && (len == 0 || !fits(&locator, len - 1)));
            prop_assert_eq!(decode(&encode(&locator)), Some(locator));
        }

        #[test]
        fn no_locator_has_two_encodings(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            if let Some(locator) = decode(&bytes) {
                prop_assert_eq!(encode(&locator), bytes);
            }
        }
    }

    #[test]
    fn the_common_cases_are_small_and_frozen() {
        let one = |name: &str, value| encode(&Locator::from([(name.to_owned(), value)]));
        assert_eq!(one("id", Scalar::Integer(4711)), [0x40, 0xce, 0x49]);
        assert_eq!(one("order_id", Scalar::Integer(1)), *b"\x48order_id\x02");
        assert_eq!(one("id", Scalar::Text(Secret::new("A-1"))), *b"\x00\x03A-1");
        assert_eq!(one("n", Scalar::Number(Secret::new("1.5"))), *b"\x81n\x031.5");
        let uuid = Scalar::Text(Secret::new("6f9619ff-8b86-d011-b42d-00cf4fc964ff"));
        assert_eq!(one("id", uuid).len(), 17);
    }

    #[test]
    fn other_spellings_are_refused() {
        for bent in [
            &b"\x42id\x02"[..],                              // `id` spelt out
            b"\x40\x80\x00",                                 // a varint with a needless byte
            b"\x41b\x02\x41a\x02",                           // out of order
            b"\x41a\x02\x41a\x02",                           // twice
            b"\x7f\x01a\x02",                                // a short name in the long form
            b"\x01a\x05ab",                                  // cut short
            b"\x40\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", // above 64 bits
        ] {
            assert_eq!(decode(bent), None, "{bent:?}");
        }
    }
}
