//! What a bench of the store puts into it: items, and news of some of them, as CloudEvents in batches.
//!
//! An item's fields follow from its number alone, so that the peer is told of the same ones.

use std::fmt::Write;

use quietus_core::time::Millis;

pub const BATCH: u64 = 1_000;
/// Items of one person.
pub const OF_PERSON: u64 = 10;
pub const SHAPES: u64 = 50;
/// How far back the oldest was recorded.
pub const YEARS: i64 = 5 * 365 * Millis::DAY;
/// Odd shapes are kept under the purpose that may be withdrawn.
pub const WITHDRAWN: &str = "ads";

/// So many items, recorded in the order of time or in none.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    pub items: u64,
    /// Over 5 years and 50 shapes; else one shape, oldest first.
    pub spread: bool,
    pub now: Millis,
}

/// One item, as the peer keeps it too.
#[derive(Clone, Copy, Debug)]
pub struct Item {
    pub n: u64,
    pub subject: u64,
    pub class: u64,
    pub start: Millis,
}

impl Load {
    pub fn new(items: u64, spread: bool, now: Millis) -> Self {
        // Whole batches.
        Self { items: items.div_ceil(BATCH).max(1) * BATCH, spread, now }
    }

    pub fn batches(&self) -> u64 {
        self.items / BATCH
    }

    pub fn item(&self, n: u64) -> Item {
        // What comes after the last begins again.
        let at = if self.spread { mixed(n) } else { n } % self.items;
        let class = if self.spread { mixed(n ^ 0x5eed) % SHAPES } else { 0 };
        let age = i128::from(YEARS) * i128::from(self.items - at) / i128::from(self.items);
        let start = self.now.plus(-i64::try_from(age).unwrap_or(YEARS));
        Item { n, subject: n / OF_PERSON, class, start }
    }

    pub fn batch(&self, batch: u64) -> impl Iterator<Item = Item> + '_ {
        (batch * BATCH..(batch + 1) * BATCH).map(|n| self.item(n))
    }

    /// Events that record a batch's items.
    pub fn recorded(&self, batch: u64) -> String {
        events(self.batch(batch), |out, item| {
            let purpose = if item.class % 2 == 1 { WITHDRAWN } else { "service" };
            write!(
                out,
                r#""type":"quietus.item.recorded.v1","id":"r{n}","data":{{"subject":"customer_id:{subject}","category":"user.contact.email","purposes":["{purpose}"],"recorded_at":"{start}","copies":[{{"system":"shop-db","dataset":"shop.t{class}","locator":{{"id":{n}}}}}]}}"#,
                n = item.n,
                subject = item.subject,
                start = item.start,
                class = item.class,
            )
        })
    }

    /// Of a batch's items so many percent were touched since.
    pub fn touched(&self, batch: u64, percent: u64) -> String {
        let at = self.now.plus(-Millis::DAY);
        events(self.batch(batch).filter(|item| mixed(item.n ^ 0x70c4) % 100 < percent), |out, item| {
            write!(
                out,
                r#""type":"quietus.item.touched.v1","id":"t{n}","data":{{"subject":"customer_id:{subject}","at":"{at}","copies":[{{"system":"shop-db","dataset":"shop.t{class}","locator":{{"id":{n}}}}}]}}"#,
                n = item.n,
                subject = item.subject,
                class = item.class,
            )
        })
    }

    /// When those who took their consent back did.
    pub fn withdrawn_at(&self) -> Millis {
        self.now.plus(-Millis::DAY)
    }

    /// Of a batch's persons so many percent took their consent back.
    pub fn withdrawn(&self, batch: u64, percent: u64) -> String {
        let at = self.withdrawn_at();
        let first = |item: &Item| item.n.is_multiple_of(OF_PERSON) && withdrew(item.subject, percent);
        events(self.batch(batch).filter(first), |out, item| {
            write!(
                out,
                r#""type":"quietus.purpose.withdrawn.v1","id":"w{subject}","data":{{"subject":"customer_id:{subject}","purpose":"{WITHDRAWN}","at":"{at}"}}"#,
                subject = item.subject,
            )
        })
    }
}

/// This person is one of so many percent who took their consent back.
pub fn withdrew(subject: u64, percent: u64) -> bool {
    mixed(subject ^ 0x91) % 100 < percent
}

/// Events of these items, as one batch.
pub(super) fn events(
    items: impl Iterator<Item = Item>,
    write: impl Fn(&mut String, Item) -> std::fmt::Result,
) -> String {
    let mut out = String::with_capacity(400 * BATCH as usize);
    out.push('[');
    for item in items {
        out.push_str(if out.len() == 1 { "{" } else { ",{" });
        out.push_str(r#""specversion":"1.0","source":"/bench","#);
        // A string takes everything.
        let _ = write(&mut out, item);
        out.push('}');
    }
    out.push(']');
    out
}

/// Spreads numbers evenly, the same way every time.
pub(super) fn mixed(n: u64) -> u64 {
    let n = n.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    n ^ (n >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_batch_is_json_and_its_shares_are_as_told() {
        let load = Load::new(20_000, true, Millis(1_700_000_000_000));
        let count =
            |text: String| serde_json::from_str::<Vec<serde_json::Value>>(&text).unwrap().len() as u64;
        let all = |of: &dyn Fn(u64) -> String| (0..load.batches()).map(|b| count(of(b))).sum::<u64>();
        assert_eq!(all(&|b| load.recorded(b)), 20_000);
        assert!((1_800..2_200).contains(&all(&|b| load.touched(b, 10))));
        assert!((500..700).contains(&all(&|b| load.withdrawn(b, 30))));
        let old = (0..load.items).filter(|n| load.item(*n).start < load.now.plus(-YEARS / 2)).count();
        assert!((9_500..10_500).contains(&old), "{old}");
    }
}
