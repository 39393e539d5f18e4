//! Reading what lies in a collection, page by page in the order of its keys.
//!
//! A page is one short statement of its own, so that nothing in the target is held open between two of them and a
//! reader may stop anywhere. Invariant: every row that stands still during a scan is read once. Rejected: one
//! snapshot for a whole scan, which would keep a busy database from cleaning up behind its writers, and offsets,
//! which skip rows when others go.

use crate::locator::Locator;
use crate::target::Secret;

/// Which page is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// `dataset.collection`
    pub dataset: String,
    /// Where the page before ended, as the connector said it; None = from the start.
    pub after: Option<Secret>,
    /// At most this many rows.
    pub limit: usize,
    /// Only rows that changed since.
    pub since: Option<Since>,
}

/// Rows whose column holds this time or a later one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Since {
    pub column: String,
    /// Milliseconds since the epoch.
    pub from: i64,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    pub rows: Vec<ScannedRow>,
    /// Where to go on; None = that was the last page.
    pub next: Option<Secret>,
    /// Rows passed over because a key column is empty: nothing could name them.
    pub nameless: u64,
    /// The target's own clock right before the rows were read, milliseconds since the epoch; None when it has none.
    pub at: Option<i64>,
}

/// One row, as far as its collection says what it means. Times are milliseconds since the epoch; None = empty, or
/// no time that can be read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScannedRow {
    /// The key columns.
    pub locator: Locator,
    pub subject: Option<Secret>,
    pub item: Option<Secret>,
    pub process: Option<Secret>,
    pub jurisdiction: Option<String>,
    pub recorded_at: Option<i64>,
    pub last_activity: Option<i64>,
}

/// A time that a database keeps as text: RFC 3339, or a date with or without a time of day, which is UTC then.
pub fn time_of_text(text: &str) -> Option<i64> {
    quietus_core::time::Millis::parse_loose(text.trim()).map(|at| at.0)
}

/// A time that a database keeps as a number: seconds, milliseconds, microseconds or nanoseconds since the epoch,
/// told apart by their size. The years 1973 to 5138 are read alike in each unit.
pub fn time_of_number(number: i64) -> Option<i64> {
    const YEAR_5138_SECONDS: u64 = 100_000_000_000;
    let size = number.unsigned_abs();
    if size < YEAR_5138_SECONDS {
        number.checked_mul(1_000)
    } else if size < YEAR_5138_SECONDS * 1_000 {
        Some(number)
    } else if size < YEAR_5138_SECONDS * 1_000_000 {
        Some(number.div_euclid(1_000))
    } else {
        Some(number.div_euclid(1_000_000))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_read_however_a_database_spells_it() {
        let noon = Some(1_709_208_000_000);
        for text in [
            "2024-02-29T12:00:00Z",
            "2024-02-29 12:00:00+00",
            "2024-02-29 12:00:00",
            "2024-02-29 14:00:00+02:00",
            "2024-02-29T12:00:00.000",
            " 2024-02-29 12:00 ",
        ] {
            assert_eq!(time_of_text(text), noon, "{text}");
        }
        assert_eq!(time_of_text("2024-02-29"), Some(1_709_164_800_000));
        for no in ["", "soon", "2024-02-30", "29.02.2024", "infinity"] {
            assert_eq!(time_of_text(no), None, "{no}");
        }
        for unit in [1_709_208_000, 1_709_208_000_000, 1_709_208_000_000_000, 1_709_208_000_000_000_000] {
            assert_eq!(time_of_number(unit), noon, "{unit}");
        }
    }
}
