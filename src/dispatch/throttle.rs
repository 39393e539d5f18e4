//! A system's rate limit: at most so many records a second, spread evenly.

use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

/// Sleeps so that over any while no more than `per_second` records are sent.
#[derive(Debug)]
pub struct Throttle {
    per_second: Option<u32>,
    /// When the next record may go.
    next: Mutex<Option<Instant>>,
}

impl Throttle {
    pub fn new(per_second: Option<u32>) -> Self {
        Self { per_second: per_second.filter(|n| *n > 0), next: Mutex::new(None) }
    }

    /// Waits for `records` to be allowed.
    pub async fn take(&self, records: usize) {
        let Some(per_second) = self.per_second else { return };
        let cost = Duration::from_secs_f64(records as f64 / f64::from(per_second));
        let start = {
            let mut next = self.next.lock().await;
            let start = next.unwrap_or_else(Instant::now).max(Instant::now());
            *next = Some(start + cost);
            start
        };
        tokio::time::sleep_until(start).await;
    }
}
