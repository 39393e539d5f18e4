//! `quietus system scan NAME`: what lies there is recorded, with progress while it is.

use std::time::{Duration, Instant};

use super::output::say;
use super::{Exit, Failure, Output};
use crate::surface::client::Client;
use crate::surface::wire::{CollectionScanned, ScanView};

const POLL: Duration = Duration::from_millis(200);
const PROGRESS: Duration = Duration::from_secs(5);

pub async fn run(
    client: &Client,
    name: &str,
    detach: bool,
    timeout: Duration,
    out: &mut Output,
) -> Result<Exit, Failure> {
    let asked = Instant::now();
    let mut view = client.start_scan(name).await?;
    let mut told = Instant::now();
    while !detach && view.state == "running" {
        if asked.elapsed() >= timeout {
            let what = format!(
                "the scan of {name} runs on, {} rows so far; wait longer with --timeout, or ask again",
                view.rows
            );
            return Err(Failure::unknown(what));
        }
        tokio::time::sleep(POLL).await;
        view = client.scan(name).await?;
        if told.elapsed() >= PROGRESS {
            say(&format!("{} rows read, {} recorded", view.rows, view.recorded));
            told = Instant::now();
        }
    }
    out.answer(&view, shown)?;
    for one in view.collections.iter().filter(|c| c.skipped.is_some()) {
        say(&format!("{}: not read: {}", one.dataset, one.skipped.as_deref().unwrap_or_default()));
    }
    match (view.state.as_str(), &view.error) {
        ("failed", why) => Err(Failure::unknown(format!(
            "the scan of {name} broke off: {}; what it recorded stays, scan again",
            why.as_deref().unwrap_or("no reason was told")
        ))),
        _ if view.collections.iter().any(|c| !c.refused.is_empty()) => {
            for one in &view.collections {
                for (code, rows) in &one.refused {
                    say(&format!("{}: {rows} rows refused: {code}", one.dataset));
                }
            }
            Ok(Exit::No)
        }
        _ => Ok(Exit::Done),
    }
}

fn shown(out: &mut Output, view: &ScanView) {
    out.line(&format!("{}  {}  {} rows, {} recorded", view.system, view.state, view.rows, view.recorded));
    let row = |c: &CollectionScanned| {
        let figures = [c.rows, c.recorded, c.known, c.without_subject, c.undated, c.gone];
        std::iter::once(c.dataset.clone()).chain(figures.map(|n| n.to_string())).collect::<Vec<_>>()
    };
    let rows: Vec<_> = view.collections.iter().filter(|c| c.skipped.is_none()).map(row).collect();
    out.table(&["dataset", "rows", "recorded", "known", "nobody", "undated", "gone"], &rows);
}
