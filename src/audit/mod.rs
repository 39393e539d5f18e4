//! Taps every decision: a hash chain per partition, over which checkpoints are signed.

mod certificate;
pub mod chain;
mod checkpoint;
mod note;
mod proof;
mod witness;

pub use certificate::{Believed, Certificate, Certified, Disbelieved, Leaf, Log, Vouched, not_checked};
pub use chain::{Chain, ENTRY_BYTES, Entry, Leaves};
pub use checkpoint::{Checkpoint, Mismatch, origin, verifiers};
pub use note::{Signer, Unsigned, Verifier, notes};
pub use proof::{Proof, Unproven};
pub use witness::{Subject, Witness};
