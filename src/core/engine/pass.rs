//! Records that concern every item: a sweep, a hold that is not limited to persons, the end of evidence.
//!
//! What they find is decided slice by slice, in key order and never a subject in two slices, so that nobody must
//! hold all items at once; what comes of it is the same however it is cut, and whatever is left out that
//! [`Pass::sieve`] lets go.

use crate::life::Lives;
use crate::record::Record;
use crate::word::Word;

use super::decision::{Decision, Effect};
use super::{Found, Input, Sieve, State, Step, Turn, evidence, holds, sweeps};

/// One such record, half decided.
#[derive(Debug)]
pub struct Pass {
    over: Over,
    trace: Option<Word>,
    k: u64,
}

#[derive(Debug)]
enum Over {
    Sweep(Box<sweeps::Sweeping>),
    Hold(Box<holds::Placing>),
    Evidence(Box<evidence::Forgetting>),
}

/// Begins the pass over everything that this record asks for; None = it asks for none, see [`super::step`].
pub fn begin(state: &mut State, input: &Input<'_>) -> Option<(Pass, Step)> {
    let (Record::ControlCopy(copy), Some(entry)) = (input.record, &input.control) else { return None };
    let k = state.control.k + 1;
    if u64::try_from(copy.k).ok() != Some(k)
        || !matches!(entry, Record::SweepOrdered(_) | Record::HoldPlaced(_) | Record::EvidenceEnded(_))
    {
        return None;
    }
    let trace: Option<Word> = input.trace.as_deref().map(Word::from);
    let mut turn = Turn::new(state, trace.clone(), Found::default());
    turn.rule(Decision::Control { k, entry: Box::new(entry.clone()) });
    let over = match entry {
        Record::SweepOrdered(r) => Over::Sweep(Box::new(sweeps::Sweeping::begin(turn.state, r))),
        Record::HoldPlaced(r) => Over::Hold(Box::new(holds::Placing::begin(turn.state, &r.id))),
        Record::EvidenceEnded(r) => Over::Evidence(Box::new(evidence::Forgetting::begin(&mut turn, r))),
        _ => return None,
    };
    Some((Pass { over, trace, k }, turn.out))
}

impl Pass {
    /// What must be shown to it; nobody minds more.
    pub fn sieve<'a>(&self, state: &'a State) -> Sieve<'a> {
        match &self.over {
            Over::Sweep(sweeping) => Sieve::due(state, sweeping.as_of()),
            Over::Hold(_) | Over::Evidence(_) => Sieve::Everything,
        }
    }

    /// The next items in key order, with all their subjects.
    pub fn slice(&mut self, state: &mut State, found: Found) -> Step {
        let mut found = found;
        let open = |lives: &Lives| lives.newest().is_some_and(|life| !life.is_ended());
        if let Over::Sweep(_) = self.over {
            found.lives.retain(|_, lives| open(lives));
        }
        let mut turn = Turn::new(state, self.trace.clone(), found);
        match &mut self.over {
            Over::Sweep(sweeping) => sweeping.slice(&mut turn),
            Over::Hold(placing) => placing.slice(&mut turn),
            Over::Evidence(forgetting) => forgetting.slice(&mut turn),
        }
        turn.out
    }

    /// Every item was shown.
    pub fn end(self, state: &mut State) -> Step {
        let mut turn = Turn::new(state, self.trace, Found::default());
        match self.over {
            Over::Sweep(sweeping) => sweeping.end(&mut turn),
            Over::Hold(placing) => placing.end(&mut turn),
            Over::Evidence(forgetting) => forgetting.end(&mut turn),
        }
        turn.effect(Effect::Applied { k: self.k });
        turn.out
    }
}
