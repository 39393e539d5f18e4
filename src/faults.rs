//! Faults on purpose, for the rigs: the process kills itself at its N-th point, or at the first of a kind.
//!
//! `QUIETUS_KILL_AT=N` names the point, or `QUIETUS_KILL_AT=AfterSnapshot` its kind. Points are: before a group is
//! written to the ledger, after it was synced and before anybody is answered, after a command was decided and before it
//! is sent, after a connector's commit and before its answer is recorded, before and after a store's root is replaced, its
//! merged runs take the others' place, what was forgotten is let go (and amid that) or a snapshot is named, before and
//! after the ledger's beginning is given up, and around the two steps by which a store that was written anew takes the
//! other's place. `QUIETUS_FLUSH_ROWS=N` makes the store flush after N rows, so that roots come often, and
//! `QUIETUS_REWRITE=1` makes every start write it anew. Compiled into builds with debug assertions only; a release knows
//! no such switches.

/// Where a crash may hurt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Point {
    BeforeAppend,
    AfterAppend,
    BeforeSend,
    AfterCommit,
    BeforeRoot,
    AfterRoot,
    BeforeMerged,
    AfterMerged,
    AmidForgetting,
    BeforeForgotten,
    AfterForgotten,
    BeforeSnapshot,
    AfterSnapshot,
    BeforeTruncate,
    AfterTruncate,
    BeforeExchange,
    AmidExchange,
    AfterExchange,
}

/// Passes a point, or ends here as a power cut would end it.
#[cfg(debug_assertions)]
pub fn pass(point: Point) {
    use std::sync::LazyLock;
    use std::sync::atomic::{AtomicU64, Ordering};
    static AT: LazyLock<String> = LazyLock::new(|| std::env::var("QUIETUS_KILL_AT").unwrap_or_default());
    static PASSED: AtomicU64 = AtomicU64::new(0);
    if AT.is_empty() {
        return;
    }
    let passed = PASSED.fetch_add(1, Ordering::SeqCst) + 1;
    if AT.parse() == Ok(passed) || *AT == format!("{point:?}") {
        eprintln!("killed at point {passed}: {point:?}");
        let own = std::process::id().to_string();
        let killed = std::process::Command::new("kill").args(["-KILL", &own]).status();
        eprintln!("still here: {killed:?}");
        std::process::abort();
    }
}

#[cfg(not(debug_assertions))]
pub fn pass(_: Point) {}

/// Rows before a flush, where a rig wants it otherwise.
#[cfg(debug_assertions)]
pub fn flush_rows() -> Option<usize> {
    std::env::var("QUIETUS_FLUSH_ROWS").ok()?.parse().ok()
}

/// A start writes the store anew whether that is worth it or not.
#[cfg(debug_assertions)]
pub fn rewrites() -> bool {
    std::env::var_os("QUIETUS_REWRITE").is_some()
}

#[cfg(not(debug_assertions))]
pub const fn flush_rows() -> Option<usize> {
    None
}

#[cfg(not(debug_assertions))]
pub const fn rewrites() -> bool {
    false
}
