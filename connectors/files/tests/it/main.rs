//! The files connector on real folders, with writers beside it that know nothing of it.

#![expect(clippy::expect_used, reason = "a test stops where it cannot go on")]
#![expect(clippy::panic, reason = "a test says what it saw")]
#![expect(clippy::indexing_slicing, reason = "a test stops where it cannot go on")]

mod archive;
mod bytes;
mod hostile;
mod kill;
mod writers;
