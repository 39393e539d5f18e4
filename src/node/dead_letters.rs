//! Dead letters: listed, shown, retried.

use quietus_core::record::{DeadLetterClosed, DeadLettered, Frame, Record};

use super::{Node, NodeError};
use crate::intake::arrived::Arrived;
impl Node {
    /// All that wait, by id.
    pub fn dead_letters(&self) -> Vec<DeadLettered> {
        let mut all: Vec<DeadLettered> = Vec::new();
        for partition in self.partitions.iter() {
            all.extend(
                partition
                    .read()
                    .state
                    .dead_letters
                    .all()
                    .map(|l| DeadLettered { payload: None, ..l.clone() }),
            );
        }
        all.sort_by(|a, b| a.id.cmp(&b.id));
        all
    }

    pub fn dead_letter(&self, id: &str) -> Result<DeadLettered, NodeError> {
        let found = self.partitions.iter().find_map(|p| p.read().state.dead_letters.get(id).cloned());
        found.ok_or_else(|| NodeError::NotFound {
            what: format!("there is no dead letter {id}: it was taken in, or its time is over"),
        })
    }

    /// The record as it was delivered.
    pub fn open_dead_letter(&self, letter: &DeadLettered) -> Result<Arrived, NodeError> {
        let Some(payload) = &letter.payload else {
            return Err(NodeError::Conflict {
                code: "not-kept",
                what: "the record was too large to be kept".to_owned(),
                fix: "send it again, smaller: name where its content lies".to_owned(),
            });
        };
        let open =
            self.keys.open_letter(&letter.id, payload).ok().and_then(|bytes| Arrived::unpacked(&bytes));
        open.ok_or_else(|| NodeError::Conflict {
            code: "not-opened",
            what: "the record cannot be opened: it was sealed under another tenant key, or is damaged"
                .to_owned(),
            fix: "start the node with the tenant key of that time".to_owned(),
        })
    }

    /// Maps the record again, with the source as it is now; taken in, the letter is closed.
    pub async fn retry_dead_letter(&self, id: &str, by: Option<String>) -> Result<(), NodeError> {
        let letter = self.dead_letter(id)?;
        let record = [self.open_dead_letter(&letter)?];
        let ready = self.ready(&letter.source)?;
        self.sources().schemas.forget_missing();
        let fed = self.feed(&ready, &record, None, false).await?;
        if let Some((_, why)) = fed.refused.into_iter().next() {
            return Err(NodeError::Refused {
                code: why.code,
                what: format!("it still cannot be read: {}", why.detail),
                fix: "mend the source's mapping (`quietus source check FILE --sample FILE`), then retry"
                    .to_owned(),
            });
        }
        // Should it end here, the letter stands, and the next retry changes nothing but that.
        let closed = DeadLetterClosed { id: letter.id.clone(), by, at: self.clock.now().0 };
        let partition = self.partition_of_letter(&letter.id);
        let offset = self.append_frame(partition, &Frame::of(vec![Record::from(closed)])).await?;
        self.has_applied(partition, offset).await;
        Ok(())
    }
}
