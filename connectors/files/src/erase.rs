//! Lines of many people out of many files: each file is read once for all of them, and rewritten only if one is there.
//!
//! Invariants: a file is swapped with the gate's word for everybody whose lines it loses, given after the rewrite is
//! on disk; a line that is also somebody's whom the gate stopped stays. Nobody is answered who could be in a file
//! that was not read to its end.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::fs::File;
use std::sync::Arc;
use std::time::Instant;

use quietus_contract::{CommandId, Failure, Gate, Outcome, Permit, Target, TargetOutcome, Verdict, Work};
use tokio::runtime::Handle;

use crate::clean::Clean;
use crate::clock::{Lease, now};
use crate::config::{Config, Set, is_gzip};
use crate::fault;
use crate::recover::recover;
use crate::rewrite::{Pass, Trouble, pass, write};
use crate::swap::{Generation, Swap, Swapped, remove};
use crate::walk::{Place, Visitor, open_root, walk};
use crate::wanted::{Wanted, Whom};

/// How often a file is begun again because others changed it, or the gate stopped somebody, before it is given back.
const ROUNDS: usize = 12;

pub(crate) struct Call<'a> {
    pub(crate) config: &'a Config,
    pub(crate) clean: &'a Clean,
    pub(crate) started: Instant,
    pub(crate) permit: &'a Permit,
    pub(crate) gate: Arc<dyn Gate>,
    pub(crate) runtime: Handle,
}

/// How a target stands while files are gone through.
#[derive(Default)]
struct Tally {
    removed: u64,
    at: Option<i64>,
    stopped: bool,
    failure: Option<Failure>,
}

pub(crate) fn erase(call: &Call<'_>, targets: &[Target]) -> Vec<TargetOutcome> {
    let mut outcomes = Vec::new();
    let mut open: Vec<(usize, &Target)> = Vec::new();
    for (position, target) in targets.iter().enumerate() {
        match refused(call.config, target) {
            Some(outcome) => outcomes.push(answer(target.command, outcome, None)),
            None => open.push((position, target)),
        }
    }
    if open.is_empty() {
        return outcomes;
    }
    let opened = open_root(&call.config.root).and_then(|root| {
        crate::lock::exclusive(&root, call.permit.lease())?;
        Ok((root, now(&call.config.root)?))
    });
    let mut tallies: BTreeMap<usize, Tally> = open.iter().map(|(n, _)| (*n, Tally::default())).collect();
    match opened {
        Ok((root, clock)) => {
            let wanted = Wanted::of(open.iter().copied());
            let lease = Lease::new(call.started, call.permit.lease(), clock);
            for set in &call.config.sets {
                let whom = wanted.reachable(set);
                if !whom.is_empty() {
                    let of =
                        SetRun { call, lease, set, wanted: &wanted, whom, targets, tallies: &mut tallies };
                    walk(&root, set, &mut { of });
                }
            }
        }
        Err(failure) => tallies.values_mut().for_each(|t| t.failure = Some(failure.clone())),
    }
    outcomes.extend(open.iter().filter_map(|(n, target)| {
        let tally = tallies.remove(n)?;
        let at = tally.at;
        Some(answer(target.command, said(tally), at))
    }));
    outcomes
}

fn refused(config: &Config, target: &Target) -> Option<Outcome> {
    match &target.work {
        Work::Delete => {}
        Work::Change { .. } | Work::Correct(_) => {
            let reason = "this connector can only erase whole lines".to_owned();
            return Some(Outcome::Refused { reason });
        }
    }
    if is_reachable(config, target) {
        return None;
    }
    Some(Outcome::Failed(nobody(config)))
}

/// Whether some set of files is matched by a type of identity that is known of this subject.
pub(crate) fn is_reachable(config: &Config, target: &Target) -> bool {
    let kinds = config.sets.iter().flat_map(|s| &s.fields).map(|(_, kind)| kind);
    kinds.into_iter().any(|kind| target.identities.iter().any(|i| i.kind == *kind))
}

pub(crate) fn nobody(config: &Config) -> Failure {
    let mut kinds: Vec<&str> =
        config.sets.iter().flat_map(|s| &s.fields).map(|(_, kind)| kind.as_str()).collect();
    kinds.sort_unstable();
    kinds.dedup();
    let detail = format!("lines here are found by {}, and none is known of this subject", kinds.join(", "));
    Failure::fatal("no_identity", detail)
}

fn said(tally: Tally) -> Outcome {
    match tally {
        Tally { failure: Some(failure), removed, .. } => {
            let might_have_happened = failure.might_have_happened || removed > 0;
            Outcome::Failed(Failure { might_have_happened, ..failure })
        }
        Tally { stopped: true, .. } => Outcome::Blocked { cause: "hold".into(), until: None },
        Tally { removed: 0, .. } => Outcome::Absent,
        Tally { removed, .. } => Outcome::Removed(removed),
    }
}

/// One set's files, gone through for everybody who could be in them.
struct SetRun<'a> {
    call: &'a Call<'a>,
    lease: Lease,
    set: &'a Set,
    wanted: &'a Wanted,
    whom: Whom,
    targets: &'a [Target],
    tallies: &'a mut BTreeMap<usize, Tally>,
}

impl Visitor for SetRun<'_> {
    fn file(&mut self, place: &Place<'_>) {
        if let Err(failure) = self.clear(place) {
            self.failed(failure);
        }
    }

    /// Everybody could have been there. What is worth another try is told rather than what is not: it comes again.
    fn failed(&mut self, failure: Failure) {
        for target in &self.whom {
            if let Some(tally) = self.tallies.get_mut(target) {
                let keeps = tally.failure.as_ref().is_some_and(|f| !f.may_retry);
                if !keeps {
                    tally.failure = Some(failure.clone());
                }
            }
        }
    }

    fn leftovers(&mut self, folder: &File, shown: &str, names: &[CString]) -> bool {
        // A second swap of the same file would leave the first one's marker without meaning.
        let recovered = recover(folder, shown, names);
        let free = recovered.is_ok();
        if let Err(failure) = recovered {
            self.failed(failure);
        }
        free
    }
}

impl SetRun<'_> {
    fn clear(&mut self, place: &Place<'_>) -> Result<(), Failure> {
        let gzip = is_gzip(place.name.to_bytes());
        for _ in 0..ROUNDS {
            let Some(old) = place.open()? else { return Ok(()) };
            let generation = Generation::of(&old).map_err(|e| fault::of(&e, &place.shown))?;
            if self.call.clean.knows(&place.shown, generation, self.wanted) {
                return Ok(());
            }
            let stopped = self.stopped();
            let (set, wanted) = (self.set, self.wanted);
            let seen = pass(&old, generation, set, wanted, gzip, &stopped, None);
            let seen = seen.map_err(|t| told(place, t))?;
            self.stay(&seen);
            if seen.rows.is_empty() {
                if seen.stays.is_empty() {
                    self.call.clean.remember(&place.shown, generation, wanted);
                }
                return Ok(());
            }
            self.lease.left()?;
            if self.replace(place, &old, generation, gzip, &stopped)? {
                return Ok(());
            }
        }
        let detail = format!("{}: it was changed again and again while it was rewritten", place.shown);
        Err(Failure::retry("conflict", detail))
    }

    /// Rewrites and swaps; false = it has to be looked at again.
    fn replace(
        &mut self,
        place: &Place<'_>,
        old: &File,
        generation: Generation,
        gzip: bool,
        stopped: &Whom,
    ) -> Result<bool, Failure> {
        let discard = || remove(place.folder, generation.inode);
        let written = write(place.folder, old, generation, self.set, self.wanted, gzip, stopped);
        let (seen, mut new) = written.map_err(|t| {
            discard();
            told(place, t)
        })?;
        self.stay(&seen);
        let went =
            self.ask(&seen).and_then(|all| if all { self.lease.stamp(&new).map(Some) } else { Ok(None) });
        let at = match went {
            Ok(Some(at)) => at,
            Ok(None) => {
                discard();
                return Ok(false);
            }
            Err(failure) => {
                discard();
                return Err(failure);
            }
        };
        let swap = Swap { place, old, read: seen.read, new: &mut new, gzip };
        match swap.make()? {
            Swapped::Changed => Ok(false),
            Swapped::Done { added } => {
                for (target, rows) in &seen.rows {
                    if let Some(tally) = self.tallies.get_mut(target) {
                        tally.removed += rows;
                        tally.at = Some(at);
                    }
                }
                Ok(!added)
            }
        }
    }

    /// The gate's word on everybody whose rows go; a verdict that did not come is a stop.
    fn ask(&mut self, seen: &Pass) -> Result<bool, Failure> {
        let (whom, commands): (Vec<usize>, Vec<CommandId>) =
            seen.rows.keys().filter_map(|n| self.targets.get(*n).map(|t| (*n, t.command))).unzip();
        let left = self.lease.left()?;
        let asked = async { tokio::time::timeout(left, self.call.gate.may_commit(&commands)).await };
        let verdicts = self.call.runtime.block_on(asked).map_err(|_| {
            Failure::retry("expired", "the gate did not answer in time; the file is as it was")
        })?;
        let mut verdicts = verdicts.into_iter();
        let stopped: Vec<usize> = whom.into_iter().filter(|_| verdicts.next() != Some(Verdict::Go)).collect();
        for target in &stopped {
            if let Some(tally) = self.tallies.get_mut(target) {
                tally.stopped = true;
            }
        }
        Ok(stopped.is_empty())
    }

    fn stopped(&self) -> Whom {
        self.tallies.iter().filter(|(_, t)| t.stopped).map(|(n, _)| *n).collect()
    }

    /// Whose rows stay with another's is as good as stopped.
    fn stay(&mut self, seen: &Pass) {
        for target in &seen.stays {
            if let Some(tally) = self.tallies.get_mut(target) {
                tally.stopped = true;
            }
        }
    }
}

fn told(place: &Place<'_>, trouble: Trouble) -> Failure {
    match trouble {
        Trouble::Broken(broken) => fault::broken(&place.shown, &broken),
        Trouble::Writing(error) => fault::of(&error, &place.shown),
    }
}

pub(crate) fn answer(command: CommandId, outcome: Outcome, at: Option<i64>) -> TargetOutcome {
    TargetOutcome { command, outcome, at, position: None }
}
