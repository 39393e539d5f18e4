//! Frames read: by the control plane, by the partitions, and in plain words by the model beside each.

use std::sync::Arc;

use quietus::ledger::Stream;
use quietus::ledger::codec::{Avro, decode_frame, encode_record};
use quietus_core::engine::Effect;
use quietus_core::item::CopyState;
use quietus_core::obligation::Duty;
use quietus_core::record::{ControlCopy, Frame, Record};

use crate::invariants::Broken;
use crate::ledger::Plain;
use crate::model::Gone;
use crate::plain::System;
use crate::world::World;

impl World {
    /// The control plane reads the next entry of the control log.
    pub fn fold(&mut self) -> bool {
        let Some(entry) = self.ledger.frame(Stream::Control, self.node.folded) else { return false };
        let frame = decode_frame(&entry.bytes).unwrap();
        self.node.folded += 1;
        self.node.control.apply(self.node.folded, &frame.records[0]);
        self.node.underway.follow(&self.node.control);
        true
    }

    /// Entry k + 1 of the control log goes into a partition.
    pub fn copy_control(&mut self, partition: u32) -> bool {
        let at = usize::try_from(partition).unwrap();
        let next = self.node.copied[at];
        let Some(entry) = self.ledger.frame(Stream::Control, next) else { return false };
        let frame = decode_frame(&entry.bytes).unwrap();
        let (schema, body) = encode_record(&frame.records[0]).unwrap();
        let k = i64::try_from(next + 1).unwrap();
        self.append(partition, Record::ControlCopy(ControlCopy { k, schema, body }), Plain::Copied(next + 1));
        self.node.copied[at] += 1;
        true
    }

    /// The partition reads its next durable frame.
    pub fn apply(&mut self, partition: u32) -> Result<bool, Broken> {
        let at = usize::try_from(partition).unwrap();
        let owner = Arc::clone(&self.node.partitions[at]);
        let offset = owner.applied();
        let Some(entry) = self.ledger.frame(Stream::Partition(partition), offset).cloned() else {
            return Ok(false);
        };
        let frame = decode_frame(&entry.bytes).unwrap();
        let before = self.memory.before(&owner, &frame, entry.repeated);
        let asked = owner.apply(offset, &entry.bytes, &frame, &Avro);
        while owner.tidy().unwrap() {}
        self.told(partition, &entry.plain);
        self.known(partition, &frame);
        self.memory.after(&owner, &frame, before)?;
        for effect in asked.effects {
            if let Effect::Send { system, duties } = effect {
                let system = System::of(&system);
                for duty in &duties {
                    self.may_be_sent(partition, system, duty)?;
                }
                self.say(&format!("partition {partition} lets {} go to {}", duties.len(), system.name()));
                self.node.sends.push((system, duties));
            }
        }
        Ok(true)
    }

    pub fn told(&mut self, partition: u32, plain: &Plain) {
        let at = usize::try_from(partition).unwrap();
        let decree = match plain {
            Plain::Copied(k) => match &self.ledger.frame(Stream::Control, k - 1).unwrap().plain {
                Plain::Decree(decree) => Some((*k, decree.clone())),
                _ => None,
            },
            _ => None,
        };
        let model = &mut self.node.models[at];
        match plain {
            Plain::Told(events) => {
                for (person, told) in events {
                    model.hear(*person, told, self.company.new_lives.contains(&told.id));
                }
            }
            Plain::Tick(now) => {
                model.now = model.now.max(*now);
                self.node.newest_tick = self.node.newest_tick.max(*now);
            }
            Plain::Asked(ask) => model.asked(ask, &self.company.items),
            Plain::Copied(_) => {
                if let Some((k, decree)) = decree {
                    model.decreed(k, &decree);
                }
            }
            Plain::Nothing | Plain::Decree(_) => {}
        }
    }

    /// What an answer or a read-back makes known: that a copy is gone, or that it is not.
    pub fn known(&mut self, partition: u32, frame: &Frame) {
        let at = usize::try_from(partition).unwrap();
        let inner = self.node.partitions[at].read();
        for id in crate::invariants::named(frame) {
            let Some(duty) = inner.duty(id) else { continue };
            if duty.duty == Duty::Delete {
                let item = self.by_id[&duty.item];
                let system = System::of(&duty.place.system);
                let lives = inner.store.lives(duty.item).unwrap();
                let life = lives.lives.iter().find(|l| l.item.generation == duty.generation).unwrap();
                let state = life.copy_at(&duty.place).map(|c| life.item.copies[c].state);
                let gone = match state {
                    Some(CopyState::Erased { at, .. }) => Some(Gone { at: at.0, erased: true }),
                    Some(CopyState::Gone { at }) => Some(Gone { at: at.0, erased: false }),
                    Some(CopyState::Live) | None => None,
                };
                self.node.models[at].saw(item, duty.generation, system, gone);
            }
        }
    }
}
