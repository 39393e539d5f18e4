//! Rows in the order of a run.
//!
//! A flush sorts some ten thousand rows that lie all over memory. So numbers are sorted, each the beginning of a row's
//! key and its place; rows are looked at where two begin alike. Rejected: comparing rows, which waits for memory each
//! time.

use super::row::Stored;

/// Of a number, so many bits say a row's place.
const PLACE_BITS: u32 = 20;
const PLACES: u64 = (1 << PLACE_BITS) - 1;

pub fn in_order(mut rows: Vec<&Stored>) -> Vec<&Stored> {
    if rows.len() as u64 > PLACES {
        rows.sort_unstable_by(|a, b| a.order(b));
        return rows;
    }
    let leads: Vec<u128> = rows.iter().map(|row| lead(row)).collect();
    let least = leads.iter().copied().min().unwrap_or_default();
    let most = leads.iter().copied().max().unwrap_or_default();
    // What all have in common says nothing.
    let shift = (u128::BITS - (most - least).leading_zeros()).saturating_sub(u64::BITS - PLACE_BITS);
    let number = |(place, lead): (usize, u128)| {
        let lead = u64::try_from((lead - least) >> shift).unwrap_or(u64::MAX >> PLACE_BITS);
        lead << PLACE_BITS | place as u64
    };
    let mut numbers: Vec<u64> = leads.into_iter().enumerate().map(number).collect();
    numbers.sort_unstable();
    let mut sorted = Vec::with_capacity(rows.len());
    for alike in numbers.chunk_by(|a, b| a >> PLACE_BITS == b >> PLACE_BITS) {
        let first = sorted.len();
        let place = |number: &u64| usize::try_from(number & PLACES).ok();
        sorted.extend(alike.iter().filter_map(|number| rows.get(place(number)?).copied()));
        if let Some(alike) = sorted.get_mut(first..).filter(|alike| alike.len() > 1) {
            alike.sort_unstable_by(|a, b| a.order(b));
        }
    }
    sorted
}

/// The beginning of what [`Stored::order`] compares: shape, start, a part of the subject.
fn lead(row: &Stored) -> u128 {
    let start = row.start.map_or(0, |at| 1 << 64 | u128::from(at.0.cast_unsigned() ^ 1 << 63));
    let [a, b, c, d, ..] = row.subject.0;
    u128::from(row.shape) << 96 | start << 31 | u128::from(u32::from_be_bytes([a, b, c, d]) >> 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use quietus_core::identity::{ItemKey, SubjectKey};
    use quietus_core::time::Millis;

    fn stored() -> impl Strategy<Value = Stored> {
        let start =
            prop_oneof![Just(i64::MIN), Just(i64::MAX), -3i64..3, 1_700_000_000_000i64..1_700_000_000_900];
        let shape = prop_oneof![0u32..3, Just(u32::MAX)];
        (shape, prop::option::of(start), any::<[u8; 3]>(), 0u64..4).prop_map(|(shape, start, bytes, seq)| {
            let mut subject = SubjectKey::default();
            let [high, low, far] = bytes;
            (subject.0[0], subject.0[3], subject.0[9]) = (high % 4, low % 2, far % 2);
            let item = (far > 9).then_some(ItemKey([far % 3; 16]));
            Stored { seq, subject, item, shape, start: start.map(Millis), body: Vec::new() }
        })
    }

    proptest! {
        #[test]
        fn it_is_the_order_that_comparing_gives(rows in prop::collection::vec(stored(), 0..60)) {
            let mut compared: Vec<&Stored> = rows.iter().collect();
            compared.sort_by(|a, b| a.order(b));
            prop_assert_eq!(in_order(rows.iter().collect()), compared);
        }
    }
}
