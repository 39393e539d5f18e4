//! The end of a seed: faults stop, systems come up, sources are read to their ends, time runs on; and then everything
//! that was promised must be so.

use std::collections::BTreeMap;

use quietus::ledger::Stream;
use quietus::ledger::codec::{Avro, decode_frame};
use quietus::partition::{Inner, Partition};
use quietus::schedule::sweeps;
use quietus_core::engine::{Alive, Duties, State};
use quietus_core::identity::ItemId;
use quietus_core::obligation::{Obligation, Stand};

use crate::invariants::{self, Broken, Checked};
use crate::plain::{DAY, Item, Part, System};
use crate::world::World;

/// Rounds of work after which a node that still has something to do is one that never comes to rest.
const PATIENCE: usize = 600;
/// More than there are copies.
const MOST_SWEEPS: usize = 60;

impl World {
    pub fn end(&mut self) -> Checked {
        self.say("the end begins");
        self.sites.values().for_each(crate::company::Site::mend);
        self.company.lanes.iter_mut().for_each(|lane| lane.stalled = false);
        self.mend_clock();
        self.switch(false);
        System::ALL.into_iter().for_each(|s| self.set_mode(s, "enforce"));
        let open: Vec<String> = self.scopes.keys().filter(|_| self.rng.u8(..4) > 0).cloned().collect();
        open.into_iter().for_each(|id| self.release_hold(id));
        self.settle()?;
        self.hear_all()?;
        for days in [0, 1, self.rng.i64(2..20), self.rng.i64(2..40), 1, 1] {
            self.pass(days * DAY + 1_000);
            self.hear_all()?;
            self.tick_all();
            self.tell_watermark();
            self.settle()?;
            self.sweep()?;
            self.settle()?;
        }
        // Under a limit it takes as many sweeps as there are items.
        for _ in 0..MOST_SWEEPS {
            self.pass(1_000);
            self.hear_all()?;
            self.tell_watermark();
            self.settle()?;
            let before = self.memory.sent();
            self.sweep()?;
            self.settle()?;
            if self.memory.sent() == before {
                break;
            }
        }
        self.hear_all()?;
        self.judge()
    }

    /// Every source is read to its end; what was erased meanwhile may be told too.
    pub fn hear_all(&mut self) -> Checked {
        while !self.company.outbox.is_empty() || self.company.lanes.iter().any(|l| l.next < l.events.len()) {
            self.pass(1_000);
            self.tick_all();
            self.post();
            self.read_lane();
            self.read_all()?;
        }
        Ok(())
    }

    /// Works until nothing is left to do.
    pub fn settle(&mut self) -> Checked {
        for _ in 0..PATIENCE {
            let before = self.ledger.len();
            self.read_all()?;
            for partition in 0..u32::try_from(self.node.partitions.len()).unwrap() {
                while self.copy_control(partition) {}
                self.read_all()?;
                for system in System::ALL {
                    self.propose(system, partition);
                    self.look(system, partition, 100);
                }
            }
            self.read_all()?;
            while !self.node.sends.is_empty() {
                self.send(0)?;
            }
            while !self.node.calls.is_empty() {
                self.go_on(0)?;
            }
            while !self.node.answers.is_empty() {
                self.answer(0);
            }
            self.declare();
            let waits = !self.at_rest();
            if waits {
                self.pass(5_000);
                self.tick_all();
            } else if self.ledger.len() == before {
                return Ok(());
            }
        }
        Broken::of(3, "the node does not come to rest")
    }

    fn at_rest(&self) -> bool {
        let sweeps = self.node.control.sweeps.keys();
        sweeps.clone().all(|id| sweeps::has_settled(&self.node.partitions, id, &|_| true))
    }

    fn judge(&mut self) -> Checked {
        if let Err(broken) = self.everything_due_is_gone() {
            let items: Vec<Item> = self.company.items.keys().copied().collect();
            for item in items {
                let duties = self.duties_of(item);
                let model =
                    &self.node.models[usize::try_from(self.home(self.company.items[&item].person)).unwrap()];
                let lives = format!("{:?} {:?}", self.company.items[&item], model.lives.get(&item));
                let known = self.known_of(item);
                self.say(&format!("item {item}: {lives}\n{duties}\n{known}"));
            }
            return Err(broken);
        }
        self.everything_told_is_known()?;
        for partition in 0..self.node.partitions.len() {
            self.replays(partition)?;
        }
        self.nothing_else_is_gone()?;
        let written = self.ledger.all().map(|e| e.bytes.as_slice());
        invariants::nine_no_plaintext(&self.company.secrets(), written)
    }

    fn everything_due_is_gone(&self) -> Checked {
        let as_of = self.real - 10 * 60_000;
        let retaining = self.retaining();
        for (item, record) in &self.company.items {
            let model = &self.node.models[usize::try_from(self.home(record.person)).unwrap()];
            let Some(life) = model.lives.get(item).and_then(|l| l.last()) else { continue };
            let question = model.question(record, life, &[]);
            for copy in &life.copies {
                let rows = self.sites[&copy.system].connector.rows();
                let there = self.company.lies_there(&rows, copy.system, *item);
                let Some(there) = there else { continue };
                let over = |part: &Part| copy.forced || question.over(copy, *part, self.real) <= as_of;
                let stopped = |part: &Part| {
                    question.kept_by_law(copy, *part, self.real, &retaining) > as_of
                        || !question.held(&model.holds, copy.system, *part).is_empty()
                };
                let with =
                    |b: Broken| Broken { what: format!("item {item} in {:?}: {}", copy.system, b.what), ..b };
                for part in record.kind.parts() {
                    let full = there.contains_key(&part);
                    let with = |b: Broken| with(Broken { what: format!("{part:?}: {}", b.what), ..b });
                    invariants::three_gone_in_the_end(over(&part), stopped(&part), full).map_err(with)?;
                    let held = !question.held(&model.holds, copy.system, part).is_empty();
                    if let (Some(wanted), Some(value), false) =
                        (copy.corrected.get(&part), there.get(&part), held)
                    {
                        invariants::four_corrected_in_the_end(wanted, value).map_err(with)?;
                    }
                }
                let parts = record.kind.parts();
                let (all_over, stopped) = (parts.iter().all(over), parts.iter().any(stopped));
                invariants::three_gone_in_the_end(all_over, stopped, true).map_err(with)?;
            }
        }
        Ok(())
    }

    /// The duties of an item, for whoever looks for what went wrong.
    fn duties_of(&self, item: Item) -> String {
        let inner = self.node.partitions.iter().map(|p| p.read());
        let duties = inner.flat_map(|i| every_duty(&i));
        let word = |d: &Obligation| {
            format!(
                "  {} life {} round {} {:?} {:?} {:?} {:?}: {:?} tries {} {:?}",
                d.place.system,
                d.generation,
                d.round,
                d.duty,
                d.parts,
                d.stand,
                d.block,
                d.detail,
                d.tries,
                d.cause
            )
        };
        duties.filter(|d| self.by_id[&d.item] == item).map(|d| word(&d)).collect::<Vec<_>>().join("\n")
    }

    /// What the engine goes by, for whoever looks for what went wrong.
    fn known_of(&self, item: Item) -> String {
        let home = usize::try_from(self.home(self.company.items[&item].person)).unwrap();
        let inner = self.node.partitions[home].read();
        let of_item = |(_, n): &(&ItemId, &Item)| **n == item;
        let id = self.by_id.iter().find(of_item).map(|(id, _)| *id).unwrap();
        let lives = inner.store.lives(id).map(|l| l.lives).unwrap_or_default();
        let newest = lives.last().map(|l| (&l.item.consent, &l.item.copies, &l.notes));
        format!("  known: {newest:?} of {:?}", inner.store.subject(id.subject))
    }

    /// What the store answers is what was told, item by item.
    fn everything_told_is_known(&self) -> Checked {
        let models = &self.node.models;
        let known = |id: u64| models.iter().any(|m| m.has_heard(id));
        invariants::four_nothing_lost(&self.company.acknowledged, &known)?;
        for (id, item) in &self.by_id {
            let home = usize::try_from(self.home(self.company.items[item].person)).unwrap();
            let told = models[home].lives.get(item).map(Vec::as_slice).unwrap_or_default();
            let inner = self.node.partitions[home].read();
            let known = inner.store.lives(*id).map(|l| l.lives).unwrap_or_default();
            let lost =
                |what: &str| Broken::of(4, format!("item {item}: {what}: told {told:?}, known {known:?}"));
            if told.len() != known.len() {
                return lost("lives");
            }
            for (told, known) in told.iter().zip(&known) {
                if told.start != known.item.recorded.map(|m| m.0) {
                    return lost("start");
                }
                let copies: BTreeMap<&str, bool> =
                    known.item.copies.iter().map(|c| (&*c.system, c.is_live())).collect();
                if told.copies.iter().any(|c| copies.get(c.system.name()) != Some(&c.gone.is_none())) {
                    return lost("copies");
                }
                for copy in &told.copies {
                    let mut words: Vec<&str> = copy.purposes.iter().map(|p| p.name()).collect();
                    words.sort_unstable();
                    let same = known.item.copies.iter().find(|c| *c.system == *copy.system.name());
                    if same.is_some_and(|c| c.is_live() && c.purposes != words) {
                        return lost("purposes");
                    }
                }
            }
        }
        Ok(())
    }

    fn replays(&mut self, partition: usize) -> Checked {
        let kept = self.node.partitions[partition].clone();
        let of = u32::try_from(self.node.partitions.len()).unwrap();
        let again = Partition::new(u32::try_from(partition).unwrap(), of, &self.keys.audit_salt());
        while let Some(entry) = self.ledger.whole(Stream::Partition(again.index()), again.applied()) {
            let frame = decode_frame(&entry.bytes).unwrap();
            again.apply(again.applied(), &entry.bytes, &frame, &Avro);
        }
        invariants::six_same_again(&kept.digest(), &again.digest(), "state")?;
        let counted = counted(&kept.read());
        invariants::six_same_again(&kept.read().state.alive, &counted, "what lives")?;
        let (kept, again) = (kept.read(), again.read());
        invariants::six_same_again(&words(&kept), &words(&again), "everything known")?;
        invariants::six_same_again(&kept.chain.head(), &again.chain.head(), "audit chain")?;
        let at = self.rng.usize(..1_000_000);
        invariants::seven_chain_tells(kept.chain.entries(), kept.chain.head(), at)?;
        for duty in every_duty(&kept).iter().filter(|duty| duty.stand == Stand::Verified) {
            invariants::eight_seen_gone(duty.id, self.memory.saw_gone(duty))?;
        }
        Ok(())
    }

    /// Every row is as the company left it, but for what a connector was seen to do on a command.
    fn nothing_else_is_gone(&self) -> Checked {
        let mut all: Vec<(System, Item)> = self.company.rows.keys().copied().collect();
        all.dedup();
        for (system, item) in all {
            let rows = self.sites[&system].connector.rows();
            let there = self.company.lies_there(&rows, system, item);
            if there.as_ref() != Some(&self.company.rows[&(system, item)].parts) {
                return Broken::of(2, format!("item {item} in {system:?} is not as it was left"));
            }
        }
        Ok(())
    }
}

/// A state word by word.
fn words(inner: &Inner) -> String {
    let state = State { duties: Duties::default(), ..inner.state.clone() };
    let tallies: Vec<_> = inner.state.duties.tallies().collect();
    format!("{state:?} {tallies:?} {:?}", every_duty(inner))
}

/// Wherever they lie.
fn every_duty(inner: &Inner) -> Vec<Obligation> {
    let mut all = Vec::new();
    inner.each_duty(&mut |duty| all.push(duty.clone()));
    all
}

/// What lives, counted anew from every item.
fn counted(inner: &Inner) -> Alive {
    let mut alive = Alive::default();
    inner.store.each(&mut |lives, _| {
        alive.items += u64::from(lives.live_copies() > 0);
        alive.copies += lives.live_copies();
    });
    alive
}
