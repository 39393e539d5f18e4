//! Takes one check out of the running program, so that the simulation can show that it would be missed.
//!
//! Only under the feature `sabotage`, which nothing but that test turns on; without it every answer is a constant
//! `false`, and no release has the switch.

/// `QUIETUS_SABOTAGE` names this check.
#[cfg(feature = "sabotage")]
pub fn removes(check: &str) -> bool {
    static REMOVED: std::sync::OnceLock<Option<String>> = std::sync::OnceLock::new();
    REMOVED.get_or_init(|| std::env::var("QUIETUS_SABOTAGE").ok()).as_deref() == Some(check)
}

#[cfg(not(feature = "sabotage"))]
pub const fn removes(_check: &str) -> bool {
    false
}
