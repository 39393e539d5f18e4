//! Runs that follow one another in order: what one flush or one merge wrote.

use std::sync::Arc;

use super::blocks::{Blocks, StoreError};
use super::row::Family;
use super::run::Run;

#[derive(Clone, Debug)]
pub struct Group {
    pub family: Family,
    /// How often its rows were merged.
    pub level: u8,
    /// In order; no row of one comes before a row of the one ahead of it.
    pub runs: Vec<Arc<Run>>,
}

impl Group {
    /// None = it names no run.
    pub fn open(blocks: &Blocks, numbers: &[u32]) -> Result<Option<Self>, StoreError> {
        let runs = numbers.iter().map(|run| Ok(Arc::new(Run::open(blocks, *run)?)));
        let runs = runs.collect::<Result<Vec<_>, StoreError>>()?;
        let first = runs.first().map(|run| (run.family, run.level));
        Ok(first.map(|(family, level)| Self { family, level, runs }))
    }
}
