//! Duties → targets: sealed locators, identities and values opened, for one call only.

use std::sync::Arc;

use quietus_contract::{Change, CommandId, Failure, Identity, Locator, Outcome, Target, TargetOutcome, Work};
use quietus_core::obligation::{Duty, Obligation};

use crate::partition::Partition;
use crate::sealing::{Keys, SealError};

/// Targets with their cells opened; what cannot be opened is answered as failed at once.
pub fn targets(
    keys: &Keys,
    partitions: &[Arc<Partition>],
    duties: &[Obligation],
) -> (Vec<Target>, Vec<TargetOutcome>) {
    let mut targets = Vec::with_capacity(duties.len());
    let mut unopened = Vec::new();
    for duty in duties {
        let (subject, item) = (&duty.item.subject, &duty.item.item);
        let (place, sealed_for) = (&duty.place, sealed_for(partitions, duty));
        let locator = keys.open_locator(subject, item, &sealed_for, &place.dataset, &place.cell);
        match locator.and_then(|l| Ok((l, work(keys, duty)?))) {
            Ok((locator, work)) => targets.push(target(keys, partitions, duty, locator, work)),
            Err(_) => {
                let why = "what was sealed for it does not open: was the tenant key changed?";
                let failure = Failure::fatal("sealed", why);
                let command = CommandId(duty.id.0);
                let outcome = Outcome::Failed(failure);
                unopened.push(TargetOutcome { command, outcome, at: None, position: None });
            }
        }
    }
    (targets, unopened)
}

/// A derived copy has the cell of the copy it is made of, which was sealed for the system that was named.
fn sealed_for(partitions: &[Arc<Partition>], duty: &Obligation) -> String {
    let named = || {
        let inner = home(partitions, duty)?.read();
        let derives = inner.state.control.systems.get(&*duty.place.system)?.manifest.copies_of.is_empty();
        let lives = (!derives).then(|| inner.store.lives(duty.item)).flatten()?;
        let life = lives.lives.iter().find(|l| l.item.generation == duty.generation)?;
        // A copy that was named there itself has a cell of its own.
        let own = life.copy_at(&duty.place).and_then(|at| life.item.copies.get(at));
        own.or_else(|| life.named(&duty.place.dataset, &duty.place.cell)).map(|copy| copy.system.to_string())
    };
    named().unwrap_or_else(|| duty.place.system.to_string())
}

fn home<'a>(partitions: &'a [Arc<Partition>], duty: &Obligation) -> Option<&'a Arc<Partition>> {
    let of = u32::try_from(partitions.len()).unwrap_or(u32::MAX);
    partitions.get(usize::try_from(duty.item.subject.partition(of)).unwrap_or(usize::MAX))
}

fn work(keys: &Keys, duty: &Obligation) -> Result<Work, SealError> {
    match duty.duty {
        Duty::Delete => Ok(Work::Delete),
        Duty::Change(action) => Ok(Work::Change { action, categories: duty.parts.to_vec() }),
        Duty::Correct => {
            let cell = duty.values.as_deref().unwrap_or_default();
            let values = keys.open_corrections(&duty.item.subject, &duty.item.item, cell)?;
            let meant = values.into_iter().filter(|(category, _)| duty.parts.contains(category));
            Ok(Work::Correct(meant.map(|(category, value)| Change { category, value }).collect()))
        }
    }
}

fn target(
    keys: &Keys,
    partitions: &[Arc<Partition>],
    duty: &Obligation,
    locator: Locator,
    work: Work,
) -> Target {
    let identities = home(partitions, duty).map(|partition| {
        let inner = partition.read();
        let linked = inner.state.control.links.get(&duty.item.subject).into_iter().flatten();
        std::iter::once(&duty.item.subject)
            .chain(linked)
            .filter_map(|key| keys.open_identity(key, &inner.store.identity(*key)?).ok())
            .map(|(kind, value)| Identity { kind, value })
            .collect()
    });
    Target {
        command: CommandId(duty.id.0),
        attempt: duty.attempt,
        dataset: duty.place.dataset.clone(),
        locator,
        identities: identities.unwrap_or_default(),
        answered_at: duty.target_at.map(|at| at.0),
        work,
    }
}
