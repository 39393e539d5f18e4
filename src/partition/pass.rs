//! A record that concerns every item: a sweep, a hold that is not limited to persons.
//!
//! Invariant: of each part of the store duties and items are read together, and what a slice brought to rest goes to disk
//! only once no later slice can ask for it.

use std::sync::Arc;

use quietus_core::engine::{Effect, Pass, Row, Step, may_move};
use quietus_core::identity::ItemId;
use quietus_core::obligation::Obligation;

use super::turns::Turn;
use super::{Inner, Partition, kept};
use crate::audit::Leaves;
use crate::store::LaidOut;

impl Partition {
    /// Decides a record that concerns every item, slice by slice: readers get in between, and see some of it decided.
    /// What it writes and asks for is answered at its end.
    pub(super) fn pass(
        &self,
        offset: u64,
        pass: Pass,
        begun: Step,
        leaves: &mut Leaves,
    ) -> (Vec<Row>, Vec<Effect>) {
        let (mut pass, mut rows, mut effects) = (pass, Vec::new(), Vec::new());
        let mut take = |inner: &mut Inner, step: Step| {
            inner.decided(offset, &step.decisions, leaves);
            rows.extend(step.rows().cloned());
            effects.extend(step.effects);
        };
        {
            let inner = &mut *self.write();
            inner.since.iter_mut().for_each(kept::Since::begin_pass);
            take(inner, begun);
        }
        let of = {
            let inner = self.read();
            inner.store.parts(&pass.sieve(&inner.state))
        };
        let laid = self.laid_out(&pass, of);
        for n in 0..of {
            let _turn = Turn::take();
            let (mut part, mut resting) = {
                let inner = self.read();
                let resting = inner.resting_in(n, of);
                let may_move = |duty: &&Arc<Obligation>| may_move(duty.stand);
                let also: Vec<ItemId> = resting.iter().filter(may_move).map(|duty| duty.item).collect();
                let part = inner.store.part(&pass.sieve(&inner.state), &also, (n, of), laid.as_ref());
                (part, resting.into_iter().peekable())
            };
            loop {
                let Some(slice) = self.read().store.next(&mut part) else { break };
                let (inner, found) = (&mut *self.write(), slice.everything());
                // Both come by subject, and no subject comes in two slices.
                let last = found.lives.last_key_value().map(|(id, _)| id.subject);
                while let Some(duty) = resting.next_if(|duty| Some(duty.item.subject) <= last) {
                    if found.lives.contains_key(&duty.item) {
                        inner.state.duties.lend(duty);
                    }
                }
                let step = pass.slice(&mut inner.state, found);
                inner.state.duties.give_back();
                take(inner, step);
                inner.spill();
            }
        }
        let inner = &mut *self.write();
        let step = pass.end(&mut inner.state);
        take(inner, step);
        (rows, effects)
    }

    /// What the parts will be shown, where that is worth it and there is room; who reads or writes waits for no more than
    /// a part meanwhile.
    fn laid_out(&self, pass: &Pass, of: u64) -> Option<LaidOut> {
        if !self.read().store.lays_out(of) {
            return None;
        }
        let _turn = Turn::take();
        let mut laying = {
            let inner = &mut *self.write();
            inner.store.begin_laying(&pass.sieve(&inner.state), of)?
        };
        for n in 0..of {
            let inner = self.read();
            inner.store.ask_for(&pass.sieve(&inner.state), n, &mut laying);
        }
        let laid = laying.run();
        if let Err(error) = self.write().store.end_laying() {
            tracing::warn!(%error, "runs that were merged away stay until the next start");
        }
        laid.inspect_err(|error| tracing::warn!(%error, partition = self.index, "each part reads its pages"))
            .ok()
    }
}

impl Inner {
    /// In the middle of a pass: what it brought to rest need not wait in memory for its end.
    fn spill(&mut self) {
        let Some(since) = self.since.as_mut().filter(|since| since.of_pass() >= self.store.spill_at()) else {
            return;
        };
        let at_rest = since.at_rest();
        match self.store.spill(&mut at_rest.iter().map(|duty| kept::written(duty))) {
            Ok(()) => self.state.duties.leave_to_store(at_rest.iter().map(|duty| duty.id)),
            Err(error) => {
                since.are_not_spilled(&at_rest);
                let partition = self.state.partition;
                tracing::error!(%error, partition, "the store cannot be written: its duties stay in memory");
            }
        }
    }
}
