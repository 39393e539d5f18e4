//! The memory crate.
