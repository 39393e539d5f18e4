//! Sources → facts: map, hash, seal, route.
//!
//! [`cloudevent`] takes a body apart into events, [`lifecycle`] checks what an event says, [`identify`] turns
//! people and records into keyed hashes and sealed cells, [`route`] lays the rows into frames per partition, and
//! [`accept`] is the way through all of them. What intake knows of policy and systems is a [`Context`].

pub mod accept;
pub mod arrived;
mod cells;
pub mod cloudevent;
pub mod context;
pub mod data;
pub mod dedupe;
mod elements;
pub mod feeding;
pub mod identify;
pub mod kafka;
pub mod lanes;
pub mod lifecycle;
pub mod mapping;
pub mod parcel;
pub mod refuse;
pub mod registry;
pub mod route;
pub mod sample;
pub mod scanned;
#[cfg(test)]
mod tests;
mod turn;

pub use accept::{Accepted, Intake, Options, Receipt};
pub use arrived::Arrived;
pub use cloudevent::{Batch, RawEvent, Unreadable, read};
pub use context::Context;
pub use refuse::{Refused, Rejected, remedy};
pub use route::Feed;
pub use scanned::{Collected, Scanned};
