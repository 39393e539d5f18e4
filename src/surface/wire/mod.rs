//! Everything that goes over the wire, once: the handlers write it, the typed client and the CLI read it.
//!
//! Invariant: a field that has been here stays; what is unknown is null or left out, never a made-up value. Rejected:
//! a second set of types for the client, which would agree with the first only until somebody edits one of them.

mod audit;
mod events;
mod explain;
mod exposures;
mod holds;
mod items;
mod node;
mod policies;
mod problem;
mod reapplies;
mod requests;
mod sources;
mod sweeps;
mod systems;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub use crate::node::{CollectionScanned, CoverageView, ScanView, Uncovered};
pub use crate::partition::{CopyView, ItemView, Report, Tallied};
pub use crate::schedule::plan::{ByRule, Plan, PlanLine};
pub use crate::schedule::sweeps::SweepView;
pub use audit::{CheckpointView, DigestView, EntryView, KeyView, ProofView, VerifyView};
pub use events::{EventsAnswer, RejectedView};
pub use explain::{CopyExplained, ExplainBody, ExplainView, PartExplained, RuleExplained, open_word};
pub use exposures::{ExposedView, ExposureBody, ExposureView};
pub use holds::{Covered, HoldBody, HoldPlan, HoldView, InFlight, ReleaseBody, ScopeBody};
pub use items::{LookupAnswer, LookupBody, SubjectBody, SubjectView};
pub use node::{ClockView, HealthView, PartitionView};
pub use policies::{PolicyAnswer, PolicyPlan, PolicyView, RuleDiff, UncoveredView};
pub use problem::{Finding, Problem, Retry};
pub use reapplies::{ReapplyBody, ReapplyView, RestoredBody};
pub use requests::{MoveBody, RequestBody, RequestTargetView, RequestView};
pub use sources::{DeadLetterView, ImportAnswer, RecordView, SourceAnswer, SourceView};
pub use sweeps::{SweepBody, SweepStarted, SwitchView};
pub use systems::{CheckView, ProblemView, SystemAnswer, SystemView};

/// One page of a list.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Page<T> {
    pub items: Vec<T>,
    /// Goes into `?cursor=` for the next page; null = this was the last.
    pub next: Option<String>,
}
