//! The laws every connector passes, and connectors that break each of them.
//!
//! A connector's tests bring a [`Harness`]: a target made anew for each law, and eyes of their own to look at it.
//! [`run`] tries every [`Law`]; [`table`] is what a README shows. [`prove`] shows that the laws can see: each
//! [`Breakage`] wraps the connector, spoils one thing, and must fail the law on it and no other.
//!
//! Invariant: a law looks at the target through the harness alone, never through the connector it judges, and
//! asserts one thing only. A law that cannot be tried on a target says so in its result.

#![forbid(unsafe_code)]

mod breakage;
mod broken;
pub mod fixture;
mod gate;
mod harness;
mod laws;
mod table;
mod trial;

use std::sync::Arc;

pub use breakage::Breakage;
pub use broken::BrokenHarness;
pub use fixture::Row;
pub use harness::Harness;
pub use laws::Law;
pub use table::{abilities, table};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LawResult {
    pub law: Law,
    pub outcome: LawOutcome,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LawOutcome {
    Held,
    /// What was seen instead; never holds a value of the target's data.
    Broken(String),
    /// The capability that this connector does not declare, in words: the law asks nothing of it.
    NotApplicable(String),
    /// Why the target or its harness gives no occasion for this law.
    NotTried(String),
}

/// Every law, in order, each on a fresh target.
pub async fn run(harness: &dyn Harness) -> Vec<LawResult> {
    let mut results = Vec::with_capacity(Law::ALL.len());
    for law in Law::ALL {
        results.push(LawResult { law, outcome: law.check(harness).await });
    }
    results
}

/// What broke, one line each; empty = the connector conforms.
pub fn broken_laws(results: &[LawResult]) -> Vec<String> {
    let line = |r: &LawResult| match &r.outcome {
        LawOutcome::Broken(what) => Some(format!("{}: {what}", r.law.id())),
        LawOutcome::Held | LawOutcome::NotApplicable(_) | LawOutcome::NotTried(_) => None,
    };
    results.iter().filter_map(line).collect()
}

/// Breaks the connector in every way, and complains of each that does not fail exactly its law. A breakage whose law
/// is not asked of the sound connector does not apply to it.
pub async fn prove(harness: Arc<dyn Harness>) -> Vec<String> {
    let mut complaints = Vec::new();
    let sound = run(&*harness).await;
    let asked = |law: Law| {
        let tried = |o: &LawOutcome| matches!(o, LawOutcome::Held | LawOutcome::Broken(_));
        sound.iter().any(|r| r.law == law && tried(&r.outcome))
    };
    let can = match harness.prepare(&[]).await {
        Ok(connector) => connector.describe(),
        Err(why) => return vec![format!("the harness made no target: {why}")],
    };
    for breakage in Breakage::ALL.into_iter().filter(|b| asked(b.law()) && b.is_possible(&can)) {
        let results = run(&BrokenHarness::new(Arc::clone(&harness), breakage)).await;
        let fails = |r: &&LawResult| matches!(r.outcome, LawOutcome::Broken(_));
        let failed: Vec<Law> = results.iter().filter(fails).map(|r| r.law).collect();
        if failed != [breakage.law()] {
            complaints.push(format!(
                "{breakage:?} must fail {} alone, and fails: {}",
                breakage.law().id(),
                broken_laws(&results).join("; ")
            ));
        }
    }
    complaints
}
