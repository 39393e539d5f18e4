//! What can be made to go wrong, so that a simulation meets it before a company does.

use std::time::Duration;

/// Every fault is a plain value: the same faults and the same calls give the same answers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// Every call fails as if the system could not be reached; nothing happens.
    pub unavailable: bool,
    /// Only the read-back fails.
    pub unreadable: bool,
    /// How long a call takes before it asks the gate. With a clock of its own ([`crate::MemoryConnector::set_now`])
    /// that clock moves on by this; without one the call really waits.
    pub slow: Option<Duration>,
    /// This many of the next destructive calls fail before anything has happened.
    pub fail_before: u32,
    /// This many of the next destructive calls are committed, and their answers are lost.
    pub lose_answers: u32,
    /// A destructive call does only this many of its targets; the others fail and may be retried.
    pub at_most: Option<usize>,
    /// Claims every success and does nothing: only an independent read-back finds it out.
    pub lies: bool,
}

impl Faults {
    /// Takes one off a counter; true when there was one.
    pub(crate) fn take(counter: &mut u32) -> bool {
        let some = *counter > 0;
        *counter = counter.saturating_sub(1);
        some
    }
}
