//! Takes one check out of the running program, so that the simulation can show that it would be missed.
//!
//! Only where debug assertions are compiled in: no release has the switch, which `tests/architecture.rs` holds.
//! Rejected: a feature of its own, which had everything compiled twice.

/// `QUIETUS_SABOTAGE` names this check.
#[cfg(debug_assertions)]
pub fn removes(check: &str) -> bool {
    static REMOVED: std::sync::OnceLock<Option<String>> = std::sync::OnceLock::new();
    REMOVED.get_or_init(|| std::env::var("QUIETUS_SABOTAGE").ok()).as_deref() == Some(check)
}

#[cfg(not(debug_assertions))]
pub const fn removes(_check: &str) -> bool {
    false
}
