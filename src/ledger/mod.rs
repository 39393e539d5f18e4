//! The ordered log everything goes through: append a frame, read from an offset.

pub mod codec;
#[cfg(test)]
mod examples;
#[cfg(test)]
mod golden;
mod schemas;
mod skim;
