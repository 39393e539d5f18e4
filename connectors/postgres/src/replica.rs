//! How far replicas are: read on the primary, and on a replica itself.
//!
//! Invariant: a replica that has not replayed what the primary had committed when it was asked is never taken for one that
//! has. Rejected: `now() - pg_last_xact_replay_timestamp()`, which grows on a quiet primary; and `replay_lag` alone, which
//! stands still when the replica does.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use quietus_contract::Failure;

use crate::failure::Fault;
use crate::pool::Pool;

/// Log positions of the primary with the moments at which they were seen.
#[derive(Debug, Default)]
pub(crate) struct Seen(Mutex<VecDeque<(Instant, u64)>>);

/// More is not remembered: by then the lag is longer than anybody waits for.
const SEEN_MAX: usize = 512;

/// The slowest of those connected, and of those whose slot waits for them.
const BEHIND: &str = "SELECT pg_current_wal_lsn()::text, min(at)::text, \
    coalesce(extract(epoch FROM max(lag)) * 1000, 0)::int8::text FROM ( \
    SELECT replay_lsn AS at, replay_lag AS lag FROM pg_stat_replication UNION ALL \
    SELECT restart_lsn, NULL FROM pg_replication_slots WHERE slot_type = 'physical' AND NOT active) AS replicas";

pub(crate) async fn position(pool: &Pool) -> Result<String, Failure> {
    let row = ask(pool, "SELECT pg_current_wal_flush_lsn()::text").await?;
    row.first().filter(|lsn| !lsn.is_empty()).cloned().ok_or_else(unknown)
}

pub(crate) async fn has_reached(pool: &Pool, position: &str) -> Result<bool, Failure> {
    let wanted = number(position).ok_or_else(unknown)?;
    let row = ask(pool, "SELECT pg_is_in_recovery()::text, pg_last_wal_replay_lsn()::text").await?;
    if row.first().map(String::as_str) != Some("true") {
        let detail = "it is no physical replica: it is not in recovery, and replays nobody's log";
        return Err(Failure::fatal("replica", detail));
    }
    Ok(row.get(1).and_then(|lsn| number(lsn)).is_some_and(|replayed| replayed >= wanted))
}

pub(crate) async fn lag(pool: &Pool, seen: &Seen) -> Result<Option<i64>, Failure> {
    let row = ask(pool, BEHIND).await?;
    let text = |at: usize| row.get(at).map(String::as_str).unwrap_or_default();
    let Some(written) = number(text(0)) else { return Err(unknown()) };
    seen.note(written);
    let Some(replayed) = number(text(1)) else {
        return Ok(None);
    };
    let reported = text(2).parse::<i64>().unwrap_or_default();
    let own = i64::try_from(seen.behind(written, replayed).as_millis()).unwrap_or(i64::MAX);
    // What has caught up still reports its last lag for a while.
    Ok(Some(if replayed >= written { 0 } else { own.max(reported) }))
}

impl Seen {
    fn note(&self, written: u64) {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.back().is_none_or(|(_, last)| *last < written) {
            seen.push_back((Instant::now(), written));
        }
        if seen.len() > SEEN_MAX {
            seen.pop_front();
        }
    }

    /// How long ago the first position was seen that is not replayed yet.
    fn behind(&self, written: u64, replayed: u64) -> Duration {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if replayed >= written {
            seen.clear();
        }
        while seen.front().is_some_and(|(_, at)| *at <= replayed) {
            seen.pop_front();
        }
        seen.front().map_or(Duration::ZERO, |(since, _)| since.elapsed())
    }
}

async fn ask(pool: &Pool, sql: &str) -> Result<Vec<String>, Failure> {
    let mut last = Fault::lost("replication");
    for _ in 0..2 {
        let mut lease = pool.lease().await?;
        match lease.script(sql).await {
            Ok(row) => {
                lease.give_back();
                return Ok(row);
            }
            Err(error) => last = Fault::read(&error, "replication"),
        }
    }
    Err(last.failure)
}

/// `16/B374D848`.
fn number(lsn: &str) -> Option<u64> {
    let (high, low) = lsn.split_once('/')?;
    Some(u64::from_str_radix(high, 16).ok()? << 32 | u64::from(u32::from_str_radix(low, 16).ok()?))
}

fn unknown() -> Failure {
    Failure::retry("replica", "the database does not say where its log stands")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_ordered_as_the_log_is() {
        assert_eq!(number("0/16B3748"), Some(0x016B_3748));
        assert!(number("1/0") > number("0/FFFFFFFF"));
        assert!(number("x").is_none() && number("0/1FFFFFFFF").is_none() && number("").is_none());
    }

    #[test]
    fn who_stands_still_falls_behind() {
        let seen = Seen::default();
        seen.note(5);
        std::thread::sleep(Duration::from_millis(5));
        seen.note(9);
        assert!(seen.behind(9, 4) >= Duration::from_millis(5));
        assert!(seen.behind(9, 5) < Duration::from_secs(1));
        assert_eq!(seen.behind(9, 9), Duration::ZERO);
    }
}
