//! Taking copies away: erasures, and corrections too, because a stale copy is mended by being made anew.
//!
//! The way of a call: names from the templates, keys by SCAN where a template says `*`, a look at what is there, then
//! slice by slice the gate's word and the script that takes it away. A slice holds the server for about a millisecond.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use quietus_contract::{CommandId, Failure, Gate, Outcome, Target, TargetOutcome, Verdict, Work};
use redis::aio::MultiplexedConnection;

use crate::config::{Config, Spot, What, clock};
use crate::failure;
use crate::scan::matching;
use crate::script::{self, Op, Ran};

/// Operations in one script.
const SLICE: usize = 500;

pub(crate) async fn take_away(
    config: &Config,
    targets: &[Target],
    lease: Duration,
    gate: Arc<dyn Gate>,
) -> Vec<TargetOutcome> {
    let mut tallies: Vec<Tally> = targets.iter().map(|_| Tally::default()).collect();
    let mut wanted = Vec::new();
    for (of, target) in targets.iter().enumerate() {
        match spots(config, target) {
            Ok(spots) => wanted.extend(spots.into_iter().map(|spot| (of, spot))),
            Err(outcome) => note(&mut tallies, of, |t| t.settled = Some(outcome)),
        }
    }
    let mut call = Call { targets, tallies, gate, deadline: 0 };
    if let Err(failure) = call.run(config, &wanted, lease).await {
        // What a slice has settled stands; the rest was never asked for.
        call.tallies.iter_mut().for_each(|t| t.broke_off(&failure));
    }
    let outcome = |(target, tally): (&Target, Tally)| TargetOutcome {
        command: target.command,
        at: tally.at,
        outcome: tally.outcome(),
        position: None,
    };
    targets.iter().zip(call.tallies).map(outcome).collect()
}

/// Where what this target means lies.
fn spots(config: &Config, target: &Target) -> Result<Vec<Spot>, Outcome> {
    let all = || config.spots(&target.dataset, &target.locator).map_err(|reason| Outcome::Refused { reason });
    match &target.work {
        Work::Delete => all(),
        // A set holds names, no values that a correction could change.
        Work::Correct(_) => Ok(all()?.into_iter().filter(|s| !matches!(s.what, What::Member(_))).collect()),
        Work::Change { .. } => Err(Outcome::Refused {
            reason: "a derived copy is not changed in place: erase it, and it is made anew".to_owned(),
        }),
    }
}

struct Call<'a> {
    targets: &'a [Target],
    tallies: Vec<Tally>,
    gate: Arc<dyn Gate>,
    /// By the server's own clock.
    deadline: i64,
}

impl Call<'_> {
    async fn run(
        &mut self,
        config: &Config,
        wanted: &[(usize, Spot)],
        lease: Duration,
    ) -> Result<(), Failure> {
        if wanted.is_empty() {
            return Ok(());
        }
        let mut session = config.session().await?;
        let now = clock(&mut session).await.map_err(|e| failure::reading(&e))?;
        self.deadline = now.saturating_add(i64::try_from(lease.as_micros()).unwrap_or(i64::MAX));
        let ops = matching(&mut session, wanted).await?;
        let there = self.there(&mut session, ops).await?;
        for tally in &mut self.tallies {
            tally.looked = true;
        }
        for slice in there.chunks(SLICE) {
            self.slice(&mut session, slice).await?;
        }
        Ok(())
    }

    /// Leaves out what is not there: nobody needs to let that through.
    async fn there(&mut self, session: &mut MultiplexedConnection, ops: Vec<Op>) -> Result<Vec<Op>, Failure> {
        let mut there = Vec::new();
        for slice in ops.chunks(SLICE) {
            let counts = script::probe(session, slice).await.map_err(|e| failure::reading(&e))?;
            for (op, count) in slice.iter().zip(counts) {
                match count {
                    Ok(0) => {}
                    Ok(_) => there.push(op.clone()),
                    Err(failure) => note(&mut self.tallies, op.of, |t| t.failed = Some(failure)),
                }
            }
        }
        Ok(there)
    }

    async fn slice(&mut self, session: &mut MultiplexedConnection, slice: &[Op]) -> Result<(), Failure> {
        let stopped = self.stopped(slice).await;
        let going: Vec<Op> = slice.iter().filter(|op| !stopped.contains(&op.of)).cloned().collect();
        for of in stopped {
            note(&mut self.tallies, of, |t| t.blocked = true);
        }
        if going.is_empty() {
            return Ok(());
        }
        match script::take(session, self.deadline, &going).await {
            Ok(Ran::Through { counts, at }) => {
                for (op, count) in going.iter().zip(counts) {
                    note(&mut self.tallies, op.of, |t| t.add(count, at));
                }
            }
            Ok(Ran::TooLate) => {
                let late = Failure::retry("expired", "the permit ran out before the change could be made");
                going.iter().for_each(|op| note(&mut self.tallies, op.of, |t| t.failed = Some(late.clone())));
            }
            Err(error) => {
                let failure = failure::changing(&error);
                for op in &going {
                    note(&mut self.tallies, op.of, |t| t.failed = Some(failure.clone()));
                }
            }
        }
        Ok(())
    }

    /// The targets of this slice that the gate does not let through.
    async fn stopped(&self, slice: &[Op]) -> BTreeSet<usize> {
        let asked: BTreeSet<usize> = slice.iter().map(|op| op.of).collect();
        let named: Vec<(usize, CommandId)> =
            asked.into_iter().filter_map(|of| Some((of, self.targets.get(of)?.command))).collect();
        let commands: Vec<CommandId> = named.iter().map(|(_, command)| *command).collect();
        let verdicts = self.gate.may_commit(&commands).await;
        // A verdict that is missing lets nothing through.
        let verdict = |i: usize| verdicts.get(i).copied().unwrap_or(Verdict::Stop);
        let stops = |(i, (of, _)): (usize, &(usize, CommandId))| (verdict(i) == Verdict::Stop).then_some(*of);
        named.iter().enumerate().filter_map(stops).collect()
    }
}

/// What became of one target over all its places.
#[derive(Default)]
struct Tally {
    /// Decided before the server was asked.
    settled: Option<Outcome>,
    /// Its places were looked at.
    looked: bool,
    gone: u64,
    blocked: bool,
    failed: Option<Failure>,
    at: Option<i64>,
}

impl Tally {
    fn add(&mut self, count: Result<u64, Failure>, at: i64) {
        self.at = Some(at);
        match count {
            Ok(n) => self.gone += n,
            Err(failure) => self.failed = Some(failure),
        }
    }

    /// The call ended here: what nothing is known of yet has failed.
    fn broke_off(&mut self, failure: &Failure) {
        if !self.looked && self.settled.is_none() {
            self.failed = Some(failure.clone());
        }
    }

    /// Success only where nothing was stopped and nothing failed.
    fn outcome(self) -> Outcome {
        if let Some(settled) = self.settled {
            return settled;
        }
        if let Some(failure) = self.failed {
            let might_have_happened = failure.might_have_happened || self.gone > 0;
            return Outcome::Failed(Failure { might_have_happened, ..failure });
        }
        match (self.blocked, self.gone) {
            (true, _) => Outcome::Blocked { cause: "hold".to_owned(), until: None },
            (false, 0) => Outcome::Absent,
            (false, n) => Outcome::Removed(n),
        }
    }
}

fn note(tallies: &mut [Tally], of: usize, change: impl FnOnce(&mut Tally)) {
    if let Some(tally) = tallies.get_mut(of) {
        change(tally);
    }
}
