//! What goes wrong around the node: systems that fail, clocks that jump, frames that are written twice, and beginnings
//! that are given up.

use quietus::clock::Clock;
use quietus::ledger::Stream;
use quietus::ledger::codec::Avro;
use quietus_core::record::{ClockAccepted, Record};
use quietus_core::time::Millis;
use quietus_memory::Faults;

use crate::model::Decree;
use crate::node::Taking;
use crate::plain::{DAY, HOUR, System};
use crate::world::World;

impl World {
    pub fn fault(&mut self) {
        let system = System::ALL[self.rng.usize(..3)];
        let mut faults = Faults::default();
        match self.rng.u8(..8) {
            0 => faults.unavailable = true,
            1 => faults.unreadable = true,
            2 => faults.fail_before = self.rng.u32(1..4),
            3 => faults.lose_answers = self.rng.u32(1..4),
            4 => faults.at_most = Some(self.rng.usize(..2)),
            5 => faults.lies = true,
            _ => {}
        }
        self.say(&format!("{}: {faults:?}", system.name()));
        self.sites[&system].connector.set_faults(faults);
    }

    /// The node's wall clock jumps; or somebody looks at it, sets it right and accepts it.
    pub fn disturb_clock(&mut self) {
        if self.clock.now().0 != self.real {
            return self.mend_clock();
        }
        let by = match self.rng.bool() {
            true => self.rng.i64(2 * DAY..200 * DAY),
            false => -self.rng.i64(60_000..40 * DAY),
        };
        self.say(&format!("the clock jumps by {} h", by / HOUR));
        self.clock.set(Millis(self.real + by));
    }

    pub fn mend_clock(&mut self) {
        self.say("the clock is set right and accepted");
        self.clock.set(Millis(self.real));
        self.node.steady = quietus::schedule::clock::Steady::new(&self.clock);
        let record = ClockAccepted { now: self.real, by: None };
        self.decree(Record::ClockAccepted(record), Decree::Other);
    }

    /// The next thing that is done about a snapshot of this partition, where it lies on disk; what lies below the older
    /// of two is never read again by the node.
    pub fn snapshot_goes_on(&mut self, at: usize) {
        let partition = &self.node.partitions[at];
        let next = match std::mem::take(&mut self.node.snapshots[at]) {
            // None = nothing came since it was opened.
            Taking::Nothing => partition.begin_snapshot(&Avro).unwrap().map(Taking::Begun),
            Taking::Begun(naming) => {
                naming.run().unwrap();
                Some(Taking::Named(naming))
            }
            Taking::Named(naming) => {
                partition.end_snapshot(naming, Ok(())).unwrap();
                Some(Taking::Taken)
            }
            Taking::Taken => {
                if let [older, _] = partition.snapshots().as_slice() {
                    self.ledger.give_up(Stream::Partition(partition.index()), older.applied);
                }
                None
            }
        };
        self.node.snapshots[at] = next.unwrap_or_default();
    }

    /// A snapshot of each, from its beginning to its end.
    pub fn give_up(&mut self) {
        for at in 0..self.node.partitions.len() {
            self.node.snapshots[at] = Taking::Nothing;
            (0..4).for_each(|_| self.snapshot_goes_on(at));
        }
    }

    /// A frame of a partition is written a second time.
    pub fn repeat(&mut self) {
        let durable = self.ledger.durable();
        if durable == 0 {
            return;
        }
        let at = self.rng.usize(..durable);
        let entry = self.ledger.entry(at);
        let frame = quietus::ledger::codec::decode_frame(&entry.bytes).unwrap();
        // What intake dedupes by the event's id does not come to be written twice.
        let repeats = |r: &Record| match r {
            Record::Facts(r) => !r.marks.is_empty(),
            Record::Changes(r) => !r.marks.is_empty(),
            Record::OwnerStarted(_) => false,
            _ => true,
        };
        if entry.stream != Stream::Control && frame.records.iter().all(repeats) {
            let what = format!("{} again", frame.records[0].name());
            self.ledger.repeat(at);
            self.say(&what);
        }
    }
}
