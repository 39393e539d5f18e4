//! `quietus bench`: speed and memory, as ratios to a peer or a limit in one run. Never a timed test.

mod database;
mod erase;
mod filled;
mod hold;
mod http;
mod ingest;
mod kafka;
mod load;
mod lookups;
mod peer;
mod policy;
mod rebuild;
mod replan;
mod replan_peer;
mod served;
mod sweep;
mod usage;
mod whole;

use serde::Serialize;

pub use erase::{Erased, run as erase};
pub use hold::{Held, run as hold};
pub use http::run as http;
pub use ingest::{Ingested, run as ingest};
pub use kafka::run as kafka;
pub use rebuild::{Rebuilt, run as rebuild};
pub use replan::{Replanned, run as replan};
pub use sweep::{Shares, Swept, run as sweep};

/// One JSON object on stdout.
#[derive(Clone, Debug, Serialize)]
pub struct Figure {
    pub bench: &'static str,
    pub items: u64,
    pub seconds: f64,
    pub per_second: f64,
    pub peak_rss_mib: f64,
    pub disk_bytes_per_item: Disk,
    /// What is promised.
    pub limit_per_second: f64,
    pub ok: bool,
}

#[derive(Clone, Copy, Debug, Serialize)]
pub struct Disk {
    /// What lives; null where nothing tells it apart from the directory.
    pub live: Option<f64>,
    pub directory: f64,
}

#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    #[error("{0}")]
    Io(#[from] std::io::Error),
    #[error(transparent)]
    Node(#[from] crate::node::NodeError),
    #[error("{0}")]
    Keys(#[from] crate::sealing::KeyFileError),
    #[error("{0}")]
    Serve(#[from] crate::surface::http::ServeError),
    #[error("{0}")]
    Call(#[from] reqwest::Error),
    #[error("{0}")]
    Database(#[from] tokio_postgres::Error),
    #[error("{0}")]
    Wrong(String),
}
