//! `quietus schema KIND`: the JSON Schemas of the files that people write, compiled in.

use clap::{Args, ValueEnum};

use super::{Exit, Failure, Output};

#[derive(Debug, Args)]
pub struct Schema {
    /// Which kind of file.
    kind: Kind,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Kind {
    Policy,
    System,
    Dataset,
    Source,
    Config,
}

impl Schema {
    pub fn run(self, out: &mut Output) -> Result<Exit, Failure> {
        out.text(match self.kind {
            Kind::Policy => include_str!("../../../schemas/json/policy.schema.json"),
            Kind::System => include_str!("../../../schemas/json/system.schema.json"),
            Kind::Dataset => include_str!("../../../schemas/json/dataset.schema.json"),
            Kind::Source => include_str!("../../../schemas/json/source.schema.json"),
            Kind::Config => include_str!("../../../schemas/json/config.schema.json"),
        });
        Ok(Exit::Done)
    }
}
