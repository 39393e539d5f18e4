//! Every decoder that is handed bytes from outside, and what must hold whatever the bytes are.
//!
//! Invariant: each ends in a value or in an answer that says why not; a panic, an overflow, an endless loop or memory
//! that the bytes do not pay for is a finding. The same functions are run by the fuzzer and, over `fuzz/corpus`, by the
//! ordinary tests.

mod events;
mod files;
mod ledger;
mod outside;
mod records;
mod store;

pub use events::cloudevents;
pub use files::{dataset, policy, source, system};
pub use ledger::frame;
pub use outside::{confirmation, signature};
pub use records::{avro, debezium, native};
pub use store::store;

/// By its name: that of its file under `targets/` and of its folder under `corpus/`.
pub type Target = (&'static str, fn(&[u8]));

pub const TARGETS: &[Target] = &[
    ("cloudevents", cloudevents),
    ("avro", avro),
    ("native", native),
    ("debezium", debezium),
    ("frame", frame),
    ("store", store),
    ("policy", policy),
    ("system", system),
    ("dataset", dataset),
    ("source", source),
    ("signature", signature),
    ("confirmation", confirmation),
];

/// The first byte chooses, the rest is read.
fn chosen(bytes: &[u8]) -> (u8, &[u8]) {
    bytes.split_first().map_or((0, bytes), |(first, rest)| (*first, rest))
}
