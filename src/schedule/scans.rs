//! Rescans: what a manifest's `scan` asks for, when its time has come.
//!
//! Between two scans of every row those of `by` read only what changed; what has vanished, a scan of every row alone
//! can see, so that one comes round as well.

use std::sync::Arc;
use std::time::Duration;

use quietus_core::system::Scan;
use quietus_core::time::Millis;

use crate::node::Node;

const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Every so many scans one reads every row.
const FULL_EVERY: i64 = 7;

/// For ever.
pub async fn run(node: Arc<Node>) {
    // A simulated clock passes years between two looks.
    if node.options().simulated {
        return std::future::pending().await;
    }
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let wanted: Vec<(String, Scan)> = node.with_control(|control| {
            let scans = control.systems.iter().map(|(name, s)| (name.clone(), s.manifest.scan.clone()));
            scans.filter_map(|(name, scan)| Some((name, scan?))).collect()
        });
        for (name, scan) in wanted {
            let now = node.now();
            let Some(full) = due(&scan, now, node.last_scan(&name, false), node.last_scan(&name, true))
            else {
                continue;
            };
            let rests = |view: &crate::node::ScanView| {
                view.finished
                    .as_deref()
                    .and_then(Millis::parse)
                    .is_some_and(|at| now.0 - at.0 >= retry_after(&scan))
            };
            // One that failed is not tried again at once.
            if node.scan_of(&name).is_none_or(|view| rests(&view))
                && let Err(error) = node.start_scan(&name, full)
            {
                tracing::debug!(system = %name, %error, "no rescan");
            }
        }
    }
}

/// Whether a scan is due, and if so whether of every row.
fn due(scan: &Scan, now: Millis, last: Option<Millis>, last_full: Option<Millis>) -> Option<bool> {
    let passed = |since: Option<Millis>, ms: i64| since.is_none_or(|at| now.0 - at.0 >= ms);
    if !passed(last, scan.every) {
        return None;
    }
    Some(scan.by.is_none() || passed(last_full, scan.every.saturating_mul(FULL_EVERY)))
}

fn retry_after(scan: &Scan) -> i64 {
    scan.every.min(5 * Millis::MINUTE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scan_is_due_after_its_time_and_now_and_then_of_every_row() {
        let scan = |by: Option<&str>| Scan { every: 1_000, by: by.map(str::to_owned) };
        let at = |ms: i64| Some(Millis(ms));
        let now = Millis(10_000);
        assert_eq!(due(&scan(None), now, None, None), Some(true));
        assert_eq!(due(&scan(None), now, at(9_500), at(9_500)), None);
        assert_eq!(due(&scan(Some("updated_at")), now, at(8_000), at(8_000)), Some(false));
        assert_eq!(due(&scan(Some("updated_at")), now, at(8_000), at(3_000)), Some(true));
        assert_eq!(due(&scan(Some("updated_at")), now, None, None), Some(true));
    }
}
