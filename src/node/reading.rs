//! A ledger's folder read again, frame by frame, into partitions of its own; and held meanwhile against its store.
//!
//! A partition whose first frames were given up begins at the store's older snapshot.

use quietus_core::engine::control::Control;
use quietus_core::record::{ControlCopy, Record};

use super::NodeError;
use super::stored::Stored;
use crate::ledger::codec::{Avro, decode_frame, decode_record, encode_record};
use crate::ledger::embedded::Verified;
use crate::ledger::{Frame, LedgerError, Stream};
use crate::partition::{Home, Partition};
use crate::store::StoreError;

/// A partition while its ledger is read.
enum At {
    /// Frames below the offset are in the snapshot that it will go on from.
    Before(u64),
    Reached(Box<Partition>),
}

/// A ledger that is read into partitions of its own.
pub(super) struct Reading {
    salt: [u8; 32],
    id: [u8; 16],
    partitions: Vec<At>,
    control: Vec<(i32, Vec<u8>)>,
    stored: Option<Stored>,
}

impl Reading {
    pub fn new(ledger: &Verified, salt: [u8; 32], stored: Option<Stored>) -> Result<Self, NodeError> {
        let (id, of) = (ledger.ledger, ledger.partitions);
        let mut reading = Self { salt, id, partitions: Vec::new(), control: Vec::new(), stored };
        for (partition, first) in (0..of).zip(ledger.starts.iter().skip(1)) {
            let begins = match first {
                0 => At::Reached(Box::new(Partition::new(partition, of, &salt))),
                _ => At::Before(reading.base_at(partition, *first)?),
            };
            reading.partitions.push(begins);
        }
        Ok(reading)
    }

    /// Where a partition begins whose first frames are gone.
    fn base_at(&self, partition: u32, first: u64) -> Result<u64, NodeError> {
        let cannot = |what: String, fix: &str| {
            Err(NodeError::Refused { code: "ledger-truncated", what, fix: fix.to_owned() })
        };
        let Some(stored) = &self.stored else {
            let what = "the ledger's beginning was given up, and what it added up to is in the store alone"
                .to_owned();
            return cannot(
                what,
                "stop the node that has the store open, and give the tenant key and the whole folder",
            );
        };
        match stored.base_at(partition as usize) {
            Some(at) if at >= first => Ok(at),
            Some(at) => {
                let what = format!(
                    "partition {partition}: its snapshot ends at frame {at}, the ledger begins at {first}"
                );
                Err(StoreError::Damaged(what).into())
            }
            None => {
                let why = stored.findings.join("; ");
                Err(StoreError::Damaged(format!(
                    "partition {partition} has no snapshot to go on from: {why}"
                ))
                .into())
            }
        }
    }

    /// Frames come as they were written, the control log's kept beginning before all.
    pub fn take_in(&mut self, frame: &Frame) -> Result<(), NodeError> {
        let unreadable = |cause: String| NodeError::Unreadable {
            partition: frame.stream.to_string(),
            offset: frame.offset,
            cause,
        };
        let batch = decode_frame(&frame.body).map_err(|cause| unreadable(cause.to_string()))?;
        let Stream::Partition(index) = frame.stream else {
            for record in &batch.records {
                self.control.push(encode_record(record).map_err(|cause| unreadable(cause.to_string()))?);
            }
            return Ok(());
        };
        for record in &batch.records {
            if let Record::ControlCopy(copy) = record
                && !is_copy(copy, &self.control)
            {
                return Err(unreadable(format!("entry {} is not the control log's", copy.k)));
            }
        }
        match self.partitions.get(index as usize) {
            Some(At::Before(base)) if frame.offset < *base => return Ok(()),
            Some(At::Before(_)) => self.begin(index)?,
            Some(At::Reached(_)) | None => {}
        }
        let partitions = u32::try_from(self.partitions.len()).unwrap_or(u32::MAX);
        let home = self.home(index);
        let Some(At::Reached(partition)) = self.partitions.get(index as usize) else {
            return Err(LedgerError::UnknownStream { stream: frame.stream, partitions }.into());
        };
        partition.apply(frame.offset, &frame.body, &batch, &Avro);
        if let Some(stored) = &mut self.stored {
            stored.reach(partition, Some(&batch), &home, |k| folded(&self.control, k));
        }
        Ok(())
    }

    /// By now the control log was read as far as the snapshot has applied it.
    fn begin(&mut self, index: u32) -> Result<(), NodeError> {
        let home = self.home(index);
        let (Some(stored), Some(at)) = (&mut self.stored, self.partitions.get_mut(index as usize)) else {
            return Ok(());
        };
        let base = stored.base(&home, |k| folded(&self.control, k))?;
        stored.reach(&base, None, &home, |k| folded(&self.control, k));
        *at = At::Reached(Box::new(base));
        Ok(())
    }

    fn home(&self, index: u32) -> Home {
        let of = u32::try_from(self.partitions.len()).unwrap_or(u32::MAX);
        Home { index, of, salt_key: self.salt.to_vec(), ledger: self.id }
    }

    /// Each partition where the ledger ends.
    pub fn end(mut self) -> Result<(Vec<Partition>, Option<Stored>), NodeError> {
        for index in 0..u32::try_from(self.partitions.len()).unwrap_or(u32::MAX) {
            if let Some(At::Before(_)) = self.partitions.get(index as usize) {
                self.begin(index)?;
            }
        }
        let reached = self.partitions.into_iter().filter_map(|at| match at {
            At::Reached(partition) => Some(*partition),
            At::Before(_) => None,
        });
        Ok((reached.collect(), self.stored))
    }
}

fn is_copy(copy: &ControlCopy, control: &[(i32, Vec<u8>)]) -> bool {
    let entry = usize::try_from(copy.k - 1).ok().and_then(|at| control.get(at));
    entry.is_some_and(|(schema, body)| *schema == copy.schema && *body == copy.body)
}

/// What the control log's first `k` entries add up to.
fn folded(control: &[(i32, Vec<u8>)], k: u64) -> Option<Control> {
    let mut all = Control::default();
    for (n, (schema, body)) in (1..=k).zip(control.get(..usize::try_from(k).ok()?)?) {
        all.apply(n, &decode_record(*schema, body).ok()?);
    }
    Some(all)
}
