//! The core decides, the shell acts.
//!
//! Everything here is a pure function of its arguments: no clock, no input or output, no randomness, no
//! unordered iteration. What a step must know about stored items is handed to it as a value; what it wants
//! done is returned as a value. So a replay of the ledger gives the same state and the same digest, byte for
//! byte, on every machine.
//!
//! Read it in this order: who and what ([`identity`], [`item`]), when ([`time`]), under which rules
//! ([`policy`], [`system`], [`source`]), with which verdict ([`verdict`]), and what happens then ([`record`],
//! [`hold`], [`request`], [`obligation`], [`engine`]).

#![forbid(unsafe_code)]

pub mod config;
pub mod digest;
pub mod document;
pub mod engine;
pub mod hold;
pub mod identity;
pub mod item;
pub mod life;
pub mod merkle;
pub mod normalise;
pub mod obligation;
pub mod policy;
pub mod record;
pub mod request;
pub mod source;
pub mod system;
pub mod time;
pub mod verdict;
pub mod word;
