//! The node's configuration: what it is, and where each setting came from.
//!
//! Flag > `QUIETUS_HTTP__LISTEN` > file > default, whatever the order in which the layers are laid on. Every layer is
//! read by the same code, so that a setting means the same wherever it stands. Secrets stay references
//! (`${env:…}`, `${file:…}`) here; the shell resolves them at use.
//!
//! Rejected: merging text or JSON before reading, which forgets the line.

mod check;
mod origin;
mod read;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};

use crate::time::Millis;

pub use origin::{Origin, Setting};
pub use read::SECURITY;

#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Holds `ledger/` and `store/`.
    pub dir: String,
    pub http: Http,
    pub ledger: Ledger,
    /// For sources, when the ledger is embedded.
    pub kafka: Kafka,
    /// A reference. None = made on first start, which only a node on loopback does.
    pub tenant_key: Option<String>,
    pub identities: Identities,
    /// None = loopback only, and whoever reaches it may do everything.
    pub tokens: Vec<Token>,
    /// Files and folders applied at start and on SIGHUP.
    pub load: Vec<String>,
    pub telemetry: Telemetry,
    origins: BTreeMap<String, Origin>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Http {
    pub listen: SocketAddr,
    /// How late facts may come by `/v1/events`, in milliseconds.
    pub settle: i64,
    pub tls: Option<Tls>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tls {
    pub cert: String,
    /// A reference.
    pub key: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ledger {
    pub kind: LedgerKind,
    /// None = by kind, see [`Ledger::partitions`].
    pub partitions: Option<u32>,
    /// How long after a snapshot of the state the next is taken, in milliseconds.
    pub snapshot_every: i64,
    /// What lies below the older of two snapshots leaves the ledger.
    pub truncate: bool,
    pub brokers: Vec<String>,
    /// Of the topics' names.
    pub prefix: String,
    pub security: BTreeMap<String, String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LedgerKind {
    #[default]
    Embedded,
    Kafka,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kafka {
    pub brokers: Vec<String>,
    /// Others hear of decisions, on topics of this prefix.
    pub events: bool,
    pub prefix: String,
    /// `protocol`, `mechanism`, `username`, `password`, `ca`, `cert`, `key`; secrets are references.
    pub security: BTreeMap<String, String>,
    /// URL of the schema registry.
    pub registry: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identities {
    /// The type of a bare value.
    pub default: String,
    /// A larger set of linked identities waits for a person.
    pub max_linked: u32,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    pub name: String,
    pub role: String,
    /// Of the token's text.
    pub sha256: [u8; 32],
    pub expires: Option<Millis>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Telemetry {
    /// `info`, or directives such as `info,quietus=debug`.
    pub level: String,
    pub format: LogFormat,
    /// Where traces go.
    pub otlp: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    #[default]
    Text,
    Json,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            dir: "./quietus-data".to_owned(),
            http: Http { listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 7070)), settle: 300_000, tls: None },
            ledger: Ledger {
                kind: LedgerKind::Embedded,
                partitions: None,
                snapshot_every: 7 * Millis::DAY,
                truncate: false,
                brokers: Vec::new(),
                prefix: "quietus.".to_owned(),
                security: BTreeMap::new(),
            },
            kafka: Kafka {
                brokers: Vec::new(),
                events: true,
                prefix: "quietus.".to_owned(),
                security: BTreeMap::new(),
                registry: None,
            },
            tenant_key: None,
            identities: Identities { default: "customer_id".to_owned(), max_linked: 50 },
            tokens: Vec::new(),
            load: Vec::new(),
            telemetry: Telemetry { level: "info".to_owned(), format: LogFormat::Text, otlp: None },
            origins: BTreeMap::new(),
        }
    }
}

impl Ledger {
    /// Only counts when the ledger is created.
    pub fn partitions(&self) -> u32 {
        self.partitions.unwrap_or(match self.kind {
            LedgerKind::Embedded => 4,
            LedgerKind::Kafka => 32,
        })
    }
}

#[cfg(test)]
mod tests;
