//! Walks a datum by its schema without building anything: is every length inside the bytes, is all of it used?
//!
//! Invariant: what passes can be decoded without a panic and without an allocation that its own bytes do not pay
//! for. The decoder behind it trusts a length up to a process-wide limit and allocates before it reads. Rejected:
//! lowering that limit, which is shared with block feeds and may be set only once.

use apache_avro::Schema;

/// No array of a record holds more; a larger one would be memory that a few bytes ask for.
pub const ITEMS_MAX: u64 = 65_536;

const DEPTH_MAX: u32 = 16;

/// Whether `bytes` is exactly one datum of `schema`.
pub fn whole(schema: &Schema, bytes: &[u8]) -> bool {
    let mut rest = bytes;
    skip(schema, &mut rest, 0).is_some() && rest.is_empty()
}

fn skip(schema: &Schema, rest: &mut &[u8], depth: u32) -> Option<()> {
    if depth > DEPTH_MAX {
        return None;
    }
    match schema {
        Schema::Null => Some(()),
        Schema::Boolean => (*take(rest, 1)?.first()? <= 1).then_some(()),
        Schema::Int => i32::try_from(long(rest)?).ok().map(drop),
        Schema::Long | Schema::TimestampMillis => long(rest).map(drop),
        Schema::Bytes => take_sized(rest).map(drop),
        Schema::String => std::str::from_utf8(take_sized(rest)?).ok().map(drop),
        Schema::Enum(e) => e.symbols.get(usize::try_from(long(rest)?).ok()?).map(drop),
        Schema::Union(u) => {
            let branch = u.variants().get(usize::try_from(long(rest)?).ok()?)?;
            skip(branch, rest, depth + 1)
        }
        Schema::Record(r) => r.fields.iter().try_for_each(|f| skip(&f.schema, rest, depth + 1)),
        Schema::Array(a) => blocks(rest, |rest| skip(&a.items, rest, depth + 1)),
        Schema::Map(m) => blocks(rest, |rest| {
            std::str::from_utf8(take_sized(rest)?).ok()?;
            skip(&m.types, rest, depth + 1)
        }),
        _ => None,
    }
}

/// Blocks with a negative count carry their size in bytes; this ledger never writes them.
fn blocks(rest: &mut &[u8], mut item: impl FnMut(&mut &[u8]) -> Option<()>) -> Option<()> {
    let mut total = 0u64;
    loop {
        let count = u64::try_from(long(rest)?).ok()?;
        if count == 0 {
            return Some(());
        }
        total = total.checked_add(count).filter(|t| *t <= ITEMS_MAX)?;
        for _ in 0..count {
            item(rest)?;
        }
    }
}

fn take_sized<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let len = usize::try_from(long(rest)?).ok()?;
    take(rest, len)
}

fn take<'a>(rest: &mut &'a [u8], len: usize) -> Option<&'a [u8]> {
    let (head, tail) = rest.split_at_checked(len)?;
    *rest = tail;
    Some(head)
}

fn long(rest: &mut &[u8]) -> Option<i64> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let (byte, tail) = rest.split_first()?;
        *rest = tail;
        if shift == 63 && *byte > 1 {
            return None;
        }
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some((value >> 1).cast_signed() ^ -(value & 1).cast_signed());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_beyond_the_bytes_is_refused() {
        let schema = Schema::parse_str(r#""bytes""#).unwrap();
        assert!(whole(&schema, &[4, 1, 2]));
        assert!(!whole(&schema, &[6, 1, 2]));
        assert!(!whole(&schema, &[4, 1, 2, 3]));
        assert!(!whole(&schema, &[0xfe, 0xff, 0xff, 0xff, 0x0f, 1]));
        assert!(!whole(&schema, &[1]));
    }

    #[test]
    fn an_array_pays_for_its_items_and_keeps_to_the_limit() {
        let schema = Schema::parse_str(r#"{"type": "array", "items": "null"}"#).unwrap();
        assert!(whole(&schema, &[4, 0]));
        assert!(!whole(&schema, &[0xfe, 0xff, 0xff, 0x0f, 0]));
        assert!(!whole(&schema, &[3, 2, 0]));
    }

    #[test]
    fn numbers_are_read_to_both_ends_of_their_range() {
        let read = |mut bytes: &[u8]| long(&mut bytes);
        assert_eq!(read(&[0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1]), Some(i64::MAX));
        assert_eq!(read(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1]), Some(i64::MIN));
        assert_eq!(read(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2]), None);
        assert_eq!(read(&[0x80]), None);
    }
}
