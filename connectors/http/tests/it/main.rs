//! What the http connector does, with a partner over real HTTP on this machine.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test stops where it cannot go on"
)]
#![expect(clippy::disallowed_methods, reason = "a test issues its own permits")]

mod correct;
mod partner;
mod poll;
mod submit;
mod trouble;
mod verify;
