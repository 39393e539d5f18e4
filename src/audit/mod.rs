//! Taps every decision: a hash chain per partition, over which checkpoints are signed.

pub mod chain;
mod checkpoint;
mod note;
mod proof;

pub use chain::{Chain, Entry};
pub use checkpoint::{Checkpoint, Mismatch, origin, verifiers};
pub use note::{Signer, Unsigned, Verifier, notes};
pub use proof::{Proof, Unproven};
