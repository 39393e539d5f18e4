//! The retention policy: its language, its check, and what it says about an item.
//!
//! [`model`] is what a policy *is*. The language: [`span`] and [`period`] are lengths and dates, [`calendar`] counts
//! them, [`taxonomy`] holds the names, [`parse()`] reads a file, [`check()`] compares its rules with each other, and
//! [`lock`] with the version before. The verdict: [`scope`] says which rule wins, [`start`] from when it counts,
//! [`purpose`] what ended sooner, [`keeping`] and [`minimum`] what that comes to, [`shape`] and [`judge()`] put it
//! together; [`effect`] says what a person's request ends, [`answer_due`] when it is to be answered, [`bound()`] how far back a sweep must look.
//!
//! Invariant: due is computed, never stored; all of this is a function of policy, item, subject and tick.

pub mod bound;
pub mod calendar;
pub mod check;
mod clocks;
pub mod cron;
pub mod days;
pub mod effect;
pub mod judge;
pub mod keeping;
pub mod lock;
pub mod minimum;
pub mod model;
mod overlap;
pub mod parse;
pub mod period;
pub mod purpose;
pub mod scope;
pub mod shape;
pub mod span;
pub mod start;
pub mod taxonomy;
pub mod used;

pub use bound::{Bound, bound};
pub use calendar::Calendar;
pub use check::{Used, check};
pub use clocks::answer_due;
pub use cron::Cron;
pub use days::Days;
pub use effect::{Because, Grounds, Refusal, RequestEffect, ends_by_request};
pub use judge::judge;
pub use lock::{How, Unlocked, unlocked};
pub use model::*;
pub use parse::{parse, parse_node};
pub use purpose::NAMELESS;
pub use shape::{Dates, PartDate, ShapeRules};
pub use start::Starts;
pub use taxonomy::Taxonomy;
pub use used::used;

#[cfg(test)]
mod tests;
