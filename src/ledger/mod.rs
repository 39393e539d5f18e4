//! The ordered log everything goes through: append a frame, read from an offset.
//!
//! A stream is the control log or one partition; a frame is one batch of records, opaque to the backends. An append
//! answers once the frame is durable, and readers see durable frames only: nothing that was read can be lost.

pub mod codec;
pub mod embedded;
mod error;
#[cfg(test)]
mod examples;
#[cfg(test)]
mod golden;
mod schemas;
mod skim;
mod stream;

pub use error::{Damage, LedgerError};
pub use stream::{Frame, Position, Stream};
