//! Counting items by shape and start, so that most of them need not be looked at one by one.
//!
//! Invariant: an item is counted or shown, never both, and one that is shown comes with all that matters of it and of
//! its person. Which of the two is for the store to choose: what is counted of an item equals what it comes to when it
//! is shown.

use std::sync::Arc;

use quietus_core::item::Subject;
use quietus_core::life::{Lives, What};
use quietus_core::record::Shape;
use quietus_core::time::Millis;

/// Of which items a change says more than the fact that they were recorded by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Matters {
    /// Nothing that is asked about.
    Nothing,
    /// Of its item.
    Item,
    /// Of every item of its person.
    Person,
}

/// What a person says of consent: an item of which nothing else is known is told apart by that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Said<'a> {
    pub how: How,
    pub purpose: &'a str,
    pub at: Millis,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum How {
    Granted = 1,
    Withdrawn = 2,
    Ended = 3,
}

/// Who counts.
pub trait Census {
    /// Of a change that says nothing of a person's consent: that is heard.
    fn matters(&self, what: &What) -> Matters;

    /// That items were touched matters: there are more such changes than others.
    fn minds_touches(&self) -> bool;

    /// The number that a shape goes by from here on; None = its items are to be shown, each of them.
    fn shape(&mut self, shape: &Arc<Shape>) -> Option<usize>;

    /// All of this shape that were recorded from the first to the last of these come to the same.
    fn is_narrow(&mut self, shape: usize, starts: Option<(Millis, Millis)>) -> bool;

    /// So many more items of this shape (less, below 0), recorded at one time or within what is narrow.
    fn count(&mut self, shape: usize, starts: Option<(Millis, Millis)>, items: i64);

    /// Nobody of whom was heard before comes again.
    fn forget_persons(&mut self);

    /// What a person says of consent; None = nothing was heard of them before. The number that they go by from here on.
    fn hear(&mut self, person: Option<usize>, said: Said<'_>) -> usize;

    /// What was heard may move a date of items of this shape.
    fn is_moved(&self, shape: usize) -> bool;

    /// One of the items of this shape that were counted is this person's, and nothing else is known of it.
    fn consented(&mut self, shape: usize, start: Option<Millis>, person: usize);

    /// An item that is not counted, with all that matters of it.
    fn whole(&mut self, lives: &Lives, subject: &Subject);
}
