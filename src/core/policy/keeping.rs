//! How long one purpose keeps one part of a copy: the rule that wins, what it comes to, what ended it sooner.
//!
//! Invariant: inside one purpose the rule whose scope lies within the other's wins. Where scopes do not nest,
//! which `policy check` refuses unless they agree, the longest keeps: a mistake in a policy erases nothing early.

use super::model::{Keep, Rule, Stage, Start};
use super::period::Ends;
use super::purpose::{self, Ended};
use super::scope::Covering;
use super::start::Starts;
use crate::time::Millis;
use crate::verdict::{Action, Open, RuleKind, RuleVerdict};

/// One purpose of one part, judged.
#[derive(Clone, Debug)]
pub struct Keeping<'a> {
    /// None = the nameless purpose of a copy that never had one.
    pub purpose: Option<&'a str>,
    pub winner: Option<Kept<'a>>,
    /// Rules that apply and lost, by scope or by the tie-break.
    pub losers: Vec<Kept<'a>>,
    pub ended: Option<Ended>,
}

/// One rule's `keep`, dated.
#[derive(Clone, Copy, Debug)]
pub struct Kept<'a> {
    pub rule: &'a Rule,
    pub ends: Result<Ends, Indefinite>,
}

/// `keep: indefinitely`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Indefinite;

impl<'a> Keeping<'a> {
    /// What keeps a part under this purpose, and until when. `winners` are the rules that win by scope.
    pub fn of(starts: &Starts<'_>, purpose: Option<&'a str>, winners: &[&'a Rule]) -> Self {
        let dated = winners.iter().filter_map(|rule| Kept::of(starts, rule, purpose));
        let winner = dated.reduce(|longest, next| if next.rank() > longest.rank() { next } else { longest });
        let withdrawal_starts = winner.is_some_and(|kept| starts_at_withdrawn(kept.rule));
        let name = purpose.unwrap_or(purpose::NAMELESS);
        let ended = purpose::ended(starts.policy, starts.item, starts.subject, name, withdrawal_starts);
        Self { purpose, winner, losers: Vec::new(), ended }
    }

    /// The rules that apply and lost, dated too.
    pub fn with_losers(mut self, starts: &Starts<'_>, covering: &Covering<'a>) -> Self {
        let won = |rule: &Rule| self.winner.is_some_and(|winner| std::ptr::eq(winner.rule, rule));
        let lost = covering.all().filter(|rule| !won(rule));
        self.losers = lost.filter_map(|rule| Kept::of(starts, rule, self.purpose)).collect();
        self
    }

    /// When this purpose keeps the part no more; Err says why there is no date.
    pub fn end(&self) -> Result<Millis, Open> {
        let runs_out = self.winner.as_ref().map_or(Err(Open::Uncovered), Kept::due);
        match (self.ended, runs_out) {
            (Some(ended), Ok(due)) => Ok(due.min(ended.at())),
            (Some(ended), Err(_)) => Ok(ended.at()),
            (None, runs_out) => runs_out,
        }
    }

    /// What the part suffers on account of this purpose. A person's request is not met by hiding.
    pub fn action(&self) -> Action {
        let then = self.winner.map_or(Action::Erase, |kept| kept.rule.then);
        match self.ended {
            Some(Ended::Requested(_)) if !then.discharges() => Action::Erase,
            _ => then,
        }
    }

    /// The last stage of its rule that has been reached, before the last of all.
    pub fn stage(&self, starts: &Starts<'_>, now: Millis) -> Option<(Action, Millis)> {
        let Some(Keep::Stages(stages)) = self.winner.and_then(|kept| kept.rule.keep.as_ref()) else {
            return None;
        };
        let (_, earlier) = stages.split_last()?;
        earlier
            .iter()
            .filter_map(|stage: &Stage| {
                let due = ends(starts, &stage.period, self.purpose).due().filter(|due| *due <= now)?;
                Some((stage.action, due))
            })
            .next_back()
    }

    /// The rules that apply, the winner first; its date is the one that counts.
    pub fn verdicts(&self) -> Vec<RuleVerdict> {
        let winner =
            self.winner.map(|kept| RuleVerdict { due: self.end().ok(), ..kept.verdict(self.purpose) });
        winner.into_iter().chain(self.losers.iter().map(|kept| kept.verdict(self.purpose))).collect()
    }
}

impl<'a> Kept<'a> {
    /// None = the rule keeps nothing.
    pub fn of(starts: &Starts<'_>, rule: &'a Rule, purpose: Option<&str>) -> Option<Self> {
        let ends = match rule.keep.as_ref()? {
            Keep::For(period) => Ok(ends(starts, period, purpose)),
            Keep::Indefinitely { .. } => Err(Indefinite),
            Keep::Stages(stages) => {
                Ok(stages.last().map_or(Ends::Unknown, |last| ends(starts, &last.period, purpose)))
            }
        };
        Some(Self { rule, ends })
    }

    /// When the rule runs out; Err says why there is no date.
    pub fn due(&self) -> Result<Millis, Open> {
        match self.ends {
            Ok(Ends::At { due, .. }) => Ok(due),
            Ok(Ends::Waiting) => Err(Open::Waiting),
            Ok(Ends::Unknown) => Err(Open::Undated),
            Err(Indefinite) => Err(Open::Indefinite),
        }
    }

    /// Later keeps longer; no date keeps longest.
    fn rank(&self) -> (bool, Option<Millis>) {
        (self.due().is_err(), self.due().ok())
    }

    fn verdict(&self, purpose: Option<&str>) -> RuleVerdict {
        RuleVerdict {
            id: self.rule.id.clone(),
            kind: RuleKind::Keep,
            purpose: purpose.map(str::to_owned),
            start: self.ends.ok().and_then(Ends::start),
            due: self.due().ok(),
            wins: false,
        }
    }
}

fn ends(starts: &Starts<'_>, period: &super::model::Period, purpose: Option<&str>) -> Ends {
    period.ends(starts.calendar, &mut |start| starts.begun(start, purpose.as_slice()))
}

fn starts_at_withdrawn(rule: &Rule) -> bool {
    match &rule.keep {
        Some(Keep::For(period)) => period.starts_at(&Start::Withdrawn),
        Some(Keep::Stages(stages)) => stages.iter().any(|stage| stage.period.starts_at(&Start::Withdrawn)),
        Some(Keep::Indefinitely { .. }) | None => false,
    }
}
