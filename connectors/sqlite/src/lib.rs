//! The sqlite crate.
