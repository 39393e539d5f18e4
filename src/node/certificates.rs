//! Certificates: the ledger is read again, beside the running node, for what it decided about one thing.
//!
//! Of a ledger that was truncated it is read from the older snapshot on: what began before that cannot be certified
//! any more, for some of what was decided about it is gone.
//!
//! It costs a second state while it is read: certificates are asked for one at a time.

use crate::audit::{Certificate, Chain, Checkpoint, Subject, Witness};
use crate::ledger::Stream;
use crate::ledger::codec::{Avro, decode_frame};
use crate::partition::Partition;

use super::{Node, NodeError};

impl Node {
    /// Blocks while the ledger is read.
    pub fn certificate(&self, of: &Subject) -> Result<Certificate, NodeError> {
        let _one = self.certifying.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        self.has_evidence_of(of)?;
        let _kept = self.look_back();
        let partitions = self.read_again(of)?;
        let inner: Vec<_> = partitions.iter().map(Partition::read).collect();
        let mut chains: Vec<(&Chain, Checkpoint, String)> = Vec::new();
        for (read, live) in inner.iter().zip(self.partitions.iter()) {
            let checkpoint = Checkpoint::of(&self.ledger.id(), live.index(), &read.chain);
            // What is signed is the log as this node knows it, or nothing.
            let held = checkpoint.holds(&live.read().chain);
            held.map_err(|what| NodeError::Rewritten {
                what: what.to_string(),
                path: self.options.dir.join(super::audit::FILE),
            })?;
            let signed = checkpoint.sign(&self.audit_key).ok_or_else(|| NodeError::NotFound {
                what: "the key that signs checkpoints cannot be used".to_owned(),
            })?;
            chains.push((&read.chain, checkpoint, signed));
        }
        let (Subject::Request(id) | Subject::Sweep(id)) = of;
        let made = self.now().to_string();
        Certificate::write(of, made, &chains)
            .ok_or_else(|| NodeError::NotFound { what: format!("nothing was decided about {id}") })
    }

    /// The ledger may have it still when its evidence has ended.
    fn has_evidence_of(&self, of: &Subject) -> Result<(), NodeError> {
        let asked = match of {
            Subject::Request(_) if self.partitions.iter().any(|p| knows(p, of)) => return Ok(()),
            Subject::Request(id) => {
                let Some(ended) = self.with_control(|control| control.evidence_ended) else { return Ok(()) };
                let what = format!(
                    "there is no request {id}, or it was answered before {ended}, where evidence has ended"
                );
                return Err(NodeError::NotFound { what });
            }
            Subject::Sweep(id) => {
                self.with_control(|control| control.sweeps.get(id).map(|sweep| sweep.ordered))
            }
        };
        asked.map_or(Ok(()), |at| self.is_known_since(at))
    }

    /// Every partition from where its ledger begins up to where it stands now.
    fn read_again(&self, of: &Subject) -> Result<Vec<Partition>, NodeError> {
        let mut read = Vec::new();
        for live in self.partitions.iter() {
            let stream = Stream::Partition(live.index());
            let is_whole = self.ledger.first(stream)? == 0;
            let older = live.snapshots().first().copied().filter(|_| !is_whole);
            let partition = self.as_of(live, |snapshot| Some(*snapshot) == older)?;
            let partition = partition.filter(|past| !knows(past, of)).ok_or_else(|| NodeError::Conflict {
                code: "ledger-truncated",
                what: "the ledger's beginning was given up, and with it some of what was decided about this"
                    .to_owned(),
                fix: "certify what has come to its end before that: with `ledger: {truncate: true}` a ledger reaches back `snapshot_every`, and twice that at most"
                    .to_owned(),
            })?;
            partition.ask(Witness::of(of.clone()));
            let end = live.applied();
            for frame in self
                .ledger
                .read(stream, partition.applied())?
                .take_while(|f| f.as_ref().map_or(true, |f| f.offset < end))
            {
                let frame = frame?;
                let batch = decode_frame(&frame.body).map_err(|cause| NodeError::Unreadable {
                    partition: frame.stream.to_string(),
                    offset: frame.offset,
                    cause: cause.to_string(),
                })?;
                partition.apply(frame.offset, &frame.body, &batch, &Avro);
            }
            read.push(partition);
        }
        Ok(read)
    }
}

/// It had been asked for by then.
fn knows(past: &Partition, of: &Subject) -> bool {
    let inner = past.read();
    match of {
        Subject::Request(id) => inner.state.requests.contains_key(id),
        Subject::Sweep(id) => inner.state.control.sweeps.contains_key(id),
    }
}
