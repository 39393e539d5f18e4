//! The retention policy: its language, its check, and what it says about an item.
//!
//! [`model`] is what a policy *is*; `parse` reads the file, `check` finds what is wrong in it, `period` turns a
//! starting point into a date, `judge` gives the verdict on an item.

pub mod calendar;
pub mod model;
pub mod period;
pub mod span;

pub use calendar::Calendar;
pub use model::*;
