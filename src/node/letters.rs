//! Carries what concerns one identity to the partitions of the person's other identities.
//!
//! What is to be carried stands in the senders' states; a crash at any point carries it again, and a receiver drops what
//! it took in before. One carrier per sender keeps the numbers rising. Values that are sealed for one identity are
//! sealed anew for the other.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use quietus_core::engine::Letter;
use quietus_core::identity::ItemKey;
use quietus_core::record::{Delivered, Forwarded, Record};

use super::{Node, NodeError};
use crate::ledger::codec::encode_record;
use crate::partition::Partition;

const PERIOD: Duration = Duration::from_millis(250);
/// Letters carried before their sender is told.
const BATCH: usize = 256;

/// Carries one partition's letters, for ever.
pub(super) async fn carry(node: Arc<Node>, index: u32) {
    let Some(partition) = node.partitions.get(index as usize).cloned() else { return };
    loop {
        let moved = node.moved.notified();
        if let Err(error) = deliver(&node, &partition).await {
            tracing::warn!(%error, "a linked identity's partition could not be told yet");
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        if partition.read().state.outbox.is_empty() {
            let _ = tokio::time::timeout(PERIOD, moved).await;
        }
    }
}

async fn deliver(node: &Node, partition: &Partition) -> Result<(), NodeError> {
    let letters: Vec<(u64, Letter)> = {
        let inner = partition.read();
        inner.state.outbox.iter().take(BATCH).map(|(n, letter)| (*n, letter.clone())).collect()
    };
    let Some((last, _)) = letters.last().cloned() else { return Ok(()) };
    let from = i32::try_from(partition.index()).unwrap_or(i32::MAX);
    for (number, letter) in letters {
        let to = node.partition_of(letter.to);
        let number = i64::try_from(number).unwrap_or(i64::MAX);
        if to.read().state.received.get(&from).is_some_and(|known| *known >= number) {
            continue;
        }
        let (schema, body) = encode_record(&resealed(node, &letter))?;
        let subject = letter.to.0.to_vec();
        let record = Forwarded { from_partition: from, from_offset: number, subject, schema, body };
        let offset = node.append(to.index(), vec![Record::Forwarded(record)], None).await?;
        node.has_applied(to.index(), offset).await;
    }
    let up_to = i64::try_from(last).unwrap_or(i64::MAX);
    let delivered = Record::Delivered(Delivered { up_to });
    let offset = node.append(partition.index(), vec![delivered], None).await?;
    node.has_applied(partition.index(), offset).await;
    node.registry().nudge();
    Ok(())
}

/// Corrected values open with one identity's key only.
fn resealed(node: &Node, letter: &Letter) -> Record {
    let Record::RequestReceived(request) = &letter.record else { return letter.record.clone() };
    let Some(cell) = &request.corrections else { return letter.record.clone() };
    let opened = node.keys.open_corrections(&letter.from, &ItemKey([0; 16]), cell);
    let sealed = opened.and_then(|values| {
        let values: BTreeMap<String, Option<String>> =
            values.into_iter().map(|(key, value)| (key, value.map(|v| v.reveal().to_owned()))).collect();
        node.keys.seal_corrections(&letter.to, None, &values)
    });
    if let Err(error) = &sealed {
        tracing::error!(%error, "corrected values could not be sealed for a linked identity");
    }
    let mut request = request.clone();
    request.corrections = sealed.ok();
    Record::RequestReceived(request)
}
