//! Sources: a company's own records, mapped without code.
//!
//! [`Source`] is what one document of a source file says, [`parse_sources`] reads the file, [`Value`] is where in a
//! record something stands. What a record becomes is worked out by the shell, which has the bytes.
//!
//! Invariant: a [`Source`] that was parsed without errors has, for every rule, what its fact cannot do without.
//! Rejected: an expression language, which a reader of the file would have to run in their head.

mod feeds;
mod model;
mod read_rule;
mod read_source;
mod value;
mod with;

pub use feeds::Feeds;
pub use model::{
    CopyOf, Dataset, Emit, Format, From, Kafka, Rule, Source, Start, SubjectOf, Unit, What, When, With,
};
pub use read_source::parse_sources;
pub use value::{Address, Meta, Value};

#[cfg(test)]
mod tests;
