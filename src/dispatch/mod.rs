//! Owed duties → commands at connectors: a pure plan, and the shell that carries it out.
//!
//! Nothing here decides what is erased. The dispatcher proposes (`Ordered`), the engine judges once more when that
//! is read, and only what it lets through is sent. Permits are issued here and nowhere else.

mod breaker;
mod gate;
mod plan;
mod polls;
mod queue;
mod reaudit;
mod runner;
mod send;
mod targets;
mod throttle;
mod underway;

pub use gate::{LedgerGate, covers};
pub use plan::{Proposal, propose};
pub use queue::Queue;
pub use runner::Dispatcher;
pub use send::{permit, permit_for};
pub use targets::targets;
pub use underway::{Through, Underway};
