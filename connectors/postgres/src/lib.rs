//! The postgres crate.
