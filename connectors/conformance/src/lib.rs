//! The conformance crate.
