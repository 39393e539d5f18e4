//! Nothing is erased here: an erasure is answered with the day on which rotation will have done it.

use quietus_contract::{Failure, Outcome, Target, TargetOutcome, Work};

use crate::config::Config;
use crate::generation::{Generation, holding, list};

pub(crate) fn erase(config: &Config, targets: &[Target]) -> Vec<TargetOutcome> {
    let all = list(&config.folder);
    let one = |target: &Target| TargetOutcome {
        command: target.command,
        outcome: said(config, &all, target),
        // The folder has no clock of its own: the answer's time is that of whoever reads it.
        at: None,
        position: None,
    };
    targets.iter().map(one).collect()
}

/// What was begun later than the first answer prolongs nothing: the record was gone from its origin by then.
fn said(config: &Config, all: &Result<Vec<Generation>, Failure>, target: &Target) -> Outcome {
    if let Work::Correct(_) = target.work {
        return Outcome::Refused { reason: "a backup is not corrected; it ends by rotation".into() };
    }
    let all = match all {
        Ok(all) => all,
        Err(failure) => return Outcome::Failed(failure.clone()),
    };
    let newest = holding(all, target.answered_at).into_iter().map(|g| g.changed).max();
    let Some(newest) = newest else { return Outcome::Absent };
    let until = config.expires.map(|expires| newest.saturating_add(expires));
    Outcome::Residual { cause: "rotation".into(), until }
}
