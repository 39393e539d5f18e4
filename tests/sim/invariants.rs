//! The promises, one function each, named by its number. What a function is handed are plain values, so that each is
//! shown able to fail by a history made to break it.

use std::collections::{BTreeMap, BTreeSet};

use quietus::audit::chain::{self, Entry};
use quietus::partition::Partition;
use quietus_core::obligation::{Duty, Obligation, ObligationId, Stand};
use quietus_core::record::{Frame, Record};
use quietus_core::verdict::Action;

use crate::calls::Call;
use crate::model::{Model, Question};
use crate::plain::{Item, Part, System};
use crate::world::World;

/// A promise that was broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    pub invariant: u8,
    pub what: String,
}

pub type Checked = Result<(), Broken>;

impl Broken {
    pub fn of<T>(invariant: u8, what: impl Into<String>) -> Result<T, Self> {
        Err(Self { invariant, what: what.into() })
    }
}

/// 1: nothing covered by a hold in force is sent or committed.
pub fn one_under_hold(holds: &[String], deed: &str) -> Checked {
    match holds {
        [] => Ok(()),
        holds => Broken::of(1, format!("{deed} under {}", holds.join(", "))),
    }
}

/// 1: past its `not_after` nothing is committed, because a hold may have become effective by then.
pub fn one_in_time(not_after: Option<i64>, now: i64) -> Checked {
    match not_after {
        Some(at) if now <= at => Ok(()),
        _ => Broken::of(1, format!("committed at {now}, and its not_after was {not_after:?}")),
    }
}

/// 2: no purpose keeps it any more, nor does a law.
pub fn two_not_early(over: i64, kept_by_law: i64, now: i64) -> Checked {
    match (over > now, kept_by_law > now) {
        (true, _) => Broken::of(2, format!("a purpose keeps it until {over}, and it is {now}")),
        (_, true) => Broken::of(2, format!("a law keeps it until {kept_by_law}, and it is {now}")),
        (false, false) => Ok(()),
    }
}

/// 3: what is over and held by nobody is gone in the end.
pub fn three_gone_in_the_end(over: bool, stopped: bool, there: bool) -> Checked {
    if over && !stopped && there {
        Broken::of(3, "it is over, nothing stops it, and it lies there")
    } else {
        Ok(())
    }
}

/// 4: what was acknowledged is known.
pub fn four_nothing_lost(acknowledged: &BTreeSet<u64>, known: &dyn Fn(u64) -> bool) -> Checked {
    match acknowledged.iter().find(|id| !known(**id)) {
        Some(lost) => Broken::of(4, format!("event {lost} was acknowledged, and nobody knows it")),
        None => Ok(()),
    }
}

/// 4: a repeated record, command or answer changes nothing.
pub fn four_repeats_change_nothing(before: &[u8; 32], after: &[u8; 32], what: &str) -> Checked {
    if before == after { Ok(()) } else { Broken::of(4, format!("a repeated {what} changed the state")) }
}

/// 5: a new life is left alone by what was ordered for the one before.
pub fn five_new_life_left_alone(ordered_for: u32, lies_there: u32) -> Checked {
    if ordered_for == lies_there {
        return Ok(());
    }
    Broken::of(5, format!("ordered for life {ordered_for}, and life {lies_there} lay there"))
}

/// 5: what was erased is not set again, and nothing is inserted.
pub fn five_nothing_comes_back(is_new: bool, what: &str) -> Checked {
    if is_new { Broken::of(5, format!("{what} is there that was gone")) } else { Ok(()) }
}

/// 5: a correction goes only to what lives, and while nothing else is out for the same record.
pub fn five_fenced(lives: bool, out: usize, deed: &str) -> Checked {
    match (lives, out) {
        (true, 0) => Ok(()),
        (false, _) => Broken::of(5, format!("{deed}, and it is known to be gone")),
        (true, out) => Broken::of(5, format!("{deed}, and {out} commands for it are out")),
    }
}

/// 4: what was to be corrected holds the last value that was told.
pub fn four_corrected_in_the_end(wanted: &str, there: &str) -> Checked {
    if wanted == there {
        Ok(())
    } else {
        Broken::of(4, format!("it was corrected to {wanted}, and holds {there}"))
    }
}

/// 6: a replay gives the same state and the same chain.
pub fn six_same_again<T: PartialEq>(kept: &T, replayed: &T, what: &str) -> Checked {
    if kept == replayed { Ok(()) } else { Broken::of(6, format!("the {what} of a replay differs")) }
}

/// 7: the chain verifies; an entry changed, dropped or put elsewhere is found.
pub fn seven_chain_tells(entries: &[Entry], head: [u8; 32], at: usize) -> Checked {
    let verifies = |entries: &[Entry]| chain::follows(entries) == Ok(head);
    if !verifies(entries) {
        return Broken::of(7, "the audit chain does not verify");
    }
    if entries.is_empty() {
        return Ok(());
    }
    let at = at % entries.len();
    let mut changed = entries.to_vec();
    changed[at].root[0] ^= 1;
    let mut dropped = entries.to_vec();
    dropped.remove(at);
    let mut moved = entries.to_vec();
    moved.swap(at, (at + 1) % entries.len());
    let mut tampered = vec![("changed", changed), ("dropped", dropped)];
    if entries.len() > 1 {
        tampered.push(("moved", moved));
    }
    match tampered.iter().find(|(_, entries)| verifies(entries)) {
        Some((how, _)) => Broken::of(7, format!("audit entry {at} was {how}, and the chain verifies")),
        None => Ok(()),
    }
}

/// 8: only what an independent look saw gone is verified.
pub fn eight_seen_gone(verified: ObligationId, seen: bool) -> Checked {
    if seen { Ok(()) } else { Broken::of(8, format!("{verified} is verified, and nobody saw it gone")) }
}

/// 9: no identity and no key of the company in clear.
pub fn nine_no_plaintext<'a>(secrets: &[&str], written: impl Iterator<Item = &'a [u8]>) -> Checked {
    for bytes in written {
        for secret in secrets {
            if bytes.windows(secret.len()).any(|window| window == secret.as_bytes()) {
                return Broken::of(9, "an identity stands in the ledger in clear");
            }
        }
    }
    Ok(())
}

/// 10: what a lagging source had to say, and what time it really was, would not have kept it.
pub fn ten_not_early_by_the_truth(was_over: bool) -> Checked {
    if was_over { Ok(()) } else { Broken::of(10, "by what its sources know, it was never over") }
}

/// What must be remembered to check.
#[derive(Debug, Default)]
pub struct Memory {
    sent: BTreeSet<(ObligationId, u32)>,
    looks: BTreeMap<(ObligationId, u32), bool>,
    erased: BTreeSet<(Item, u32, System)>,
}

/// A partition before it reads a frame.
pub struct Before {
    digest: Option<[u8; 32]>,
    verified: BTreeSet<ObligationId>,
}

impl Memory {
    pub fn before(&self, owner: &Partition, frame: &Frame, repeated: bool) -> Before {
        let digest = repeated.then(|| owner.digest());
        let inner = owner.read();
        let is_verified = |id: &ObligationId| inner.duty(*id).is_some_and(|d| d.stand == Stand::Verified);
        Before { digest, verified: named(frame).into_iter().filter(is_verified).collect() }
    }

    pub fn after(&self, owner: &Partition, frame: &Frame, before: Before) -> Checked {
        // An order that was refused may be let through when it is read again: it is judged by what stands then.
        let judged_anew = frame.records.iter().any(|r| matches!(r, Record::Ordered(_)));
        if let (Some(digest), false) = (before.digest, judged_anew) {
            let names: Vec<&str> = frame.records.iter().map(Record::name).collect();
            four_repeats_change_nothing(&digest, &owner.digest(), &names.join(", "))?;
        }
        let inner = owner.read();
        for id in named(frame).into_iter().filter(|id| !before.verified.contains(id)) {
            if let Some(duty) = inner.duty(id).filter(|d| d.stand == Stand::Verified) {
                eight_seen_gone(id, self.saw_gone(&duty))?;
            }
        }
        Ok(())
    }

    pub fn same_digest(owner: &Partition, kept: &[u8; 32]) -> Checked {
        six_same_again(kept, &owner.digest(), "state")
    }

    /// How many commands were let through.
    pub fn sent(&self) -> usize {
        self.sent.len()
    }

    pub fn looked(&mut self, duty: &Obligation, gone: bool) {
        self.looks.insert((duty.id, duty.attempt), gone);
    }

    pub fn saw_gone(&self, duty: &Obligation) -> bool {
        self.looks.get(&(duty.id, duty.attempt)).copied().unwrap_or_default()
    }

    pub fn erased(&mut self, item: Item, generation: u32, system: System) {
        self.erased.insert((item, generation, system));
    }

    pub fn was_erased(&self, item: Item, generation: u32, system: System) -> bool {
        self.erased.contains(&(item, generation, system))
    }
}

/// The duties that answers and read-backs of a frame are about.
pub fn named(frame: &Frame) -> Vec<ObligationId> {
    let of = |record: &Record| -> Vec<ObligationId> {
        let ids =
            |ids: Vec<&Vec<u8>>| ids.into_iter().filter_map(|id| ObligationId::from_slice(id)).collect();
        match record {
            Record::Confirmed(r) => ids(r.answers.iter().map(|a| &a.obligation).collect()),
            Record::ReadBack(r) => ids(r.seen.iter().map(|s| &s.obligation).collect()),
            _ => Vec::new(),
        }
    };
    frame.records.iter().flat_map(of).collect()
}

impl World {
    /// A partition lets a command go: by everything it was told, and by everything that is true.
    pub fn may_be_sent(&mut self, partition: u32, system: System, duty: &Obligation) -> Checked {
        let item = self.by_id[&duty.item];
        if !self.memory.sent.insert((duty.id, duty.attempt)) {
            return Broken::of(4, format!("{} was sent twice under attempt {}", duty.id, duty.attempt));
        }
        // A restriction destroys nothing: it goes on under a hold and under a law.
        if duty.duty == Duty::Change(Action::Restrict) {
            return Ok(());
        }
        let record = &self.company.items[&item];
        let model = &self.node.models[usize::try_from(partition).unwrap()];
        let at = usize::try_from(duty.generation).unwrap() - 1;
        let Some(life) = model.lives.get(&item).and_then(|l| l.get(at)) else {
            return Broken::of(2, format!("item {item} has no life {}", duty.generation));
        };
        let Some(copy) = life.copy(system) else {
            return Broken::of(2, format!("item {item} has no copy in {}", system.name()));
        };
        let known = model.question(record, life, &[]);
        let deed = || format!("{:?} of item {item} in {} sent", duty.duty, system.name());
        five_fenced(true, self.out_for(duty), &deed())?;
        if duty.duty == Duty::Correct {
            five_fenced(copy.gone.is_none() && at + 1 == model.lives[&item].len(), 0, &deed())?;
            return duty.parts.iter().try_for_each(|part| {
                one_under_hold(&known.held(&model.holds, system, Part::of(part)), &deed())
            });
        }
        let late = self.company.undelivered(record.person, item);
        let truth = model.question(record, life, &late);
        let forced = copy.forced || self.memory.was_erased(item, duty.generation, system);
        let retaining = self.retaining();
        let parts: Vec<Part> = match duty.duty {
            Duty::Delete => record.kind.parts().to_vec(),
            Duty::Change(_) | Duty::Correct => duty.parts.iter().map(|p| Part::of(p)).collect(),
        };
        for part in parts {
            let deed = || format!("{part:?} of item {item} in {} sent", system.name());
            let with = |b: Broken| Broken { what: format!("{}: {}", deed(), b.what), ..b };
            one_under_hold(&known.held(&model.holds, system, part), &deed())?;
            let law = known.kept_by_law(copy, part, self.real, &retaining);
            let over = if forced { 0 } else { known.over(copy, part, self.real) };
            two_not_early(over, law, self.real).map_err(with)?;
            ten_not_early_by_the_truth(forced || truth.was_ever_over(copy, part, self.real)).map_err(with)?;
        }
        Ok(())
    }

    /// Commands for the same record in the same system that may still be committed.
    fn out_for(&self, duty: &Obligation) -> usize {
        let partition =
            usize::try_from(self.home(self.company.items[&self.by_id[&duty.item]].person)).unwrap();
        let now = self.node.partitions[partition].read().state.now;
        let same = |d: &&Obligation| d.item == duty.item && d.place == duty.place && d.not_after >= Some(now);
        let sends = self.node.sends.iter().flat_map(|(_, duties)| duties);
        let calls = self.node.calls.iter().filter(|call| !call.orphan).flat_map(|call| &call.duties);
        sends.chain(calls).filter(same).count()
    }

    /// A connector has changed a record on this command.
    pub fn may_be_committed(&self, call: &Call, duty: &Obligation, generation: u32) -> Checked {
        let held = self.effective_holds(duty);
        one_under_hold(&held, "committed, effective,")?;
        if call.under_hold.contains(&duty.id) {
            return Broken::of(1, format!("{} was committed, and held when the gate was asked", duty.id));
        }
        if call.in_time {
            one_in_time(duty.not_after.map(|m| m.0), self.real)?;
        }
        // Who comes back under the same key before the node knows that the old record is gone, and before it is told of
        // the new one, cannot be told from the old one.
        let came = (self.by_id[&duty.item], generation);
        if self.company.came_unknown.contains(&came) && !call.new_lives.contains(&duty.id) {
            return Ok(());
        }
        five_new_life_left_alone(duty.generation, generation)
    }

    /// The partition of this duty has heard of a later life of its item.
    pub fn has_begun_anew(&self, duty: &Obligation) -> bool {
        let item = self.by_id[&duty.item];
        let model = &self.node.models[usize::try_from(self.home(self.company.items[&item].person)).unwrap()];
        model.lives.get(&item).is_some_and(|l| l.len() > usize::try_from(duty.generation).unwrap())
    }

    fn effective_holds(&self, duty: &Obligation) -> Vec<String> {
        let effective = |id: &String| {
            self.node.control.holds.get(id).is_some_and(|h| h.effective.is_some() && h.released.is_none())
        };
        let scopes = self.scopes.iter().filter(|(id, _)| effective(id));
        let scopes = scopes.map(|(id, scope)| (id.clone(), scope.clone())).collect();
        self.held_by(&scopes, duty)
    }

    /// Holds that the partition of this duty has read.
    pub fn holds_here(&self, duty: &Obligation) -> Vec<String> {
        let person = self.company.items[&self.by_id[&duty.item]].person;
        let model = &self.node.models[usize::try_from(self.home(person)).unwrap()];
        self.held_by(&model.holds, duty)
    }

    fn held_by(&self, scopes: &BTreeMap<String, crate::model::Scope>, duty: &Obligation) -> Vec<String> {
        let record = &self.company.items[&self.by_id[&duty.item]];
        let system = System::of(&duty.place.system);
        let (model, life) = (Model::default(), crate::model::Life::default());
        let question: Question<'_> = model.question(record, &life, &[]);
        duty.parts.iter().flat_map(|p| question.held(scopes, system, Part::of(p))).collect()
    }

    pub fn retaining(&self) -> BTreeSet<System> {
        self.sites.iter().filter(|(_, site)| site.retains).map(|(system, _)| *system).collect()
    }
}
