//! A system's manifest, parsed. Connection settings are references to secrets, never secrets.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::dataset::Dataset;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    pub system: String,
    /// `sqlite`, `postgres`, `memory`, …
    pub kind: String,
    pub mode: Mode,
    /// Settings by name; values may hold `${env:…}` and `${file:…}`, resolved by the shell at use.
    pub connection: BTreeMap<String, String>,
    pub owner: Option<String>,
    pub region: Option<String>,
    pub purposes: Vec<String>,
    /// Keeps the copy a statutory minimum asks for.
    pub retains: bool,
    /// The system's own expiry, in milliseconds.
    pub expires: Option<i64>,
    pub limits: Limits,
    pub windows: Vec<Window>,
    pub erase_after: Vec<String>,
    pub scan: Option<Scan>,
    pub verify_with: Option<String>,
    pub copies_of: Vec<CopiesOf>,
    pub datasets: Vec<Dataset>,
}

/// Observe is the default: plans and counts; enforce deletes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    #[default]
    Observe,
    Enforce,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Limits {
    pub batch: u32,
    pub concurrency: u32,
    pub per_second: Option<u32>,
    pub replica_lag_max: Option<i64>,
}

impl Default for Limits {
    fn default() -> Self {
        Self { batch: 500, concurrency: 2, per_second: None, replica_lag_max: None }
    }
}

/// Local hours in which this system may be written to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// 1 = Monday … 7 = Sunday.
    pub days: Vec<i8>,
    /// Minutes from midnight.
    pub from: u16,
    pub to: u16,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scan {
    /// Milliseconds.
    pub every: i64,
    pub by: Option<String>,
}

/// Derived copies: one for every item with a copy in that system and dataset.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CopiesOf {
    pub system: String,
    /// `dataset.collection`; None = every dataset of that system.
    pub dataset: Option<String>,
    /// The other keys (`key`, `set`, `member`, `fields`), for the connector.
    pub rest: BTreeMap<String, String>,
}

impl Manifest {
    /// The collection that `dataset.collection` names.
    pub fn collection(&self, name: &str) -> Option<(&Dataset, &super::dataset::Collection)> {
        self.datasets.iter().find_map(|d| {
            let rest = name.strip_prefix(d.fides_key.as_str())?.strip_prefix('.')?;
            d.collections.iter().find(|c| c.name == rest).map(|c| (d, c))
        })
    }
}
