//! No text, however broken, makes the reader panic or say something without a place.

use proptest::prelude::*;

use super::accepted::SHIPPED;
use super::findings;
use crate::policy::{Cron, Period, Span};

/// Pieces that the language gives a meaning to.
const PIECES: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    ":",
    ",",
    "-",
    "\n",
    " ",
    "  ",
    "~",
    "null",
    "after",
    "recorded",
    "to end_of_year",
    "1y",
    "0d",
    "999999999y",
    "6m",
    "15wd",
    "P1Y",
    "earliest",
    "latest",
    "indefinitely",
    "user",
    "user.contact",
    "consent",
    "open_ended: true",
    "assume",
    "\u{e9}",
    "&a",
    "*a",
    "\"",
];

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(200) })]

    #[test]
    fn a_broken_policy_is_answered_with_places(
        which in 0..SHIPPED.len(),
        edits in proptest::collection::vec((any::<proptest::sample::Index>(), 0..30usize, 0..PIECES.len()), 1..6),
    ) {
        let mut text: Vec<char> = SHIPPED[which].1.chars().collect();
        for (at, length, piece) in edits {
            let at = at.index(text.len().max(1)).min(text.len());
            let end = (at + length).min(text.len());
            text.splice(at..end, PIECES[piece].chars());
        }
        for finding in findings(&text.into_iter().collect::<String>()) {
            prop_assert!(finding.line >= 1 && finding.column >= 1 && !finding.detail.is_empty(), "{finding:?}");
        }
    }

    #[test]
    fn spans_periods_and_schedules_read_anything(text in "[0-9a-zPTYMDWHS*/, -]{0,20}|\\PC{0,12}") {
        let _ = (Span::parse(&text), Period::parse(&text), Cron::parse(&text));
    }
}
