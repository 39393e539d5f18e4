//! Files as sources: imported piece by piece, each record once.

use quietus_core::record::Origin;

use super::feed::FedRecords;
use super::{Node, NodeError};
use crate::intake::arrived::Arrived;

/// How far an import has come.
#[derive(Debug)]
pub struct Imported {
    /// The number of the record to go on with.
    pub next: u64,
    pub fed: FedRecords,
}

impl Node {
    /// Takes in the records of a file from number `from` on; those that were taken in before are passed over.
    pub async fn import(
        &self,
        source: &str,
        mark: &str,
        from: u64,
        records: &[Arrived],
    ) -> Result<Imported, NodeError> {
        let ready = self.ready(source)?;
        let _turn = self.sources().importing.lock().await;
        self.settle().await;
        let next = self.imported(source, ready.generation, mark);
        if from > next {
            return Err(NodeError::Conflict {
                code: "import-gap",
                what: format!("the file is known up to record {next}, and these begin at {from}"),
                fix: "send what lies between first".to_owned(),
            });
        }
        let known = usize::try_from(next - from).unwrap_or(usize::MAX);
        let rest = records.get(known..).unwrap_or_default();
        let fed = self.feed(&ready, rest, Some(Origin::Import), true).await?;
        let next = next + rest.len() as u64;
        Ok(Imported { next, fed })
    }

    /// How much of the file every partition has.
    fn imported(&self, source: &str, generation: i32, mark: &str) -> u64 {
        let key = (source.to_owned(), generation, mark.to_owned(), 0);
        let marks = self.partitions.iter().map(|p| p.read().state.marks.get(&key).copied());
        marks.min().flatten().and_then(|to| u64::try_from(to + 1).ok()).unwrap_or_default()
    }
}
