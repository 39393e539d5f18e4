//! Registered systems: what a manifest and its datasets say.
//!
//! [`manifest`] is one system, [`dataset`] is what lies in it.

pub mod dataset;
pub mod manifest;

pub use dataset::*;
pub use manifest::*;
