//! Where a setting came from, and `config show`.

use std::fmt;

use super::{Config, LedgerKind, LogFormat};

/// Later variants win over earlier ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    Default,
    File {
        file: String,
        line: usize,
        column: usize,
    },
    /// The variable's name.
    Env(String),
    /// The flag, with its dashes.
    Flag(String),
}

impl Origin {
    pub(super) fn rank(&self) -> u8 {
        match self {
            Self::Default => 0,
            Self::File { .. } => 1,
            Self::Env(_) => 2,
            Self::Flag(_) => 3,
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { file, line, .. } => write!(f, "{file}:{line}"),
            Self::Env(name) => write!(f, "env {name}"),
            Self::Flag(flag) => write!(f, "flag {flag}"),
        }
    }
}

/// One line of `config show`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// `http.listen`
    pub key: String,
    /// As text; a secret is the reference to it.
    pub value: String,
    pub origin: Origin,
}

impl Config {
    /// Where this setting came from.
    pub fn origin(&self, key: &str) -> Origin {
        self.origins.get(key).cloned().unwrap_or(Origin::Default)
    }

    /// Every setting with its value and origin, in the order of the file's documentation.
    pub fn origins(&self) -> Vec<Setting> {
        self.values()
            .into_iter()
            .map(|(key, value)| Setting { origin: self.origin(&key), key, value })
            .collect()
    }

    fn values(&self) -> Vec<(String, String)> {
        let none = || "none".to_owned();
        let option = |o: &Option<String>| o.clone().unwrap_or_else(none);
        let list = |l: &[String]| if l.is_empty() { none() } else { l.join(", ") };
        let kind = match self.ledger.kind {
            LedgerKind::Embedded => "embedded",
            LedgerKind::Kafka => "kafka",
        };
        let format = match self.telemetry.format {
            LogFormat::Text => "text",
            LogFormat::Json => "json",
        };
        let tokens: Vec<String> = self.tokens.iter().map(|t| format!("{} ({})", t.name, t.role)).collect();
        let tls = self.http.tls.as_ref();
        let mut out = vec![
            ("dir", self.dir.clone()),
            ("http.listen", self.http.listen.to_string()),
            ("http.settle", format!("{} ms", self.http.settle)),
            ("http.tls.cert", tls.map_or_else(none, |t| t.cert.clone())),
            ("http.tls.key", tls.map_or_else(none, |t| t.key.clone())),
            ("ledger.kind", kind.to_owned()),
            ("ledger.partitions", self.ledger.partitions().to_string()),
            ("ledger.snapshot_every", format!("{} ms", self.ledger.snapshot_every)),
            ("ledger.truncate", self.ledger.truncate.to_string()),
            ("ledger.brokers", list(&self.ledger.brokers)),
            ("ledger.prefix", self.ledger.prefix.clone()),
            ("kafka.brokers", list(&self.kafka.brokers)),
            ("kafka.events", self.kafka.events.to_string()),
            ("kafka.prefix", self.kafka.prefix.clone()),
            ("kafka.registry", option(&self.kafka.registry)),
            ("tenant_key", option(&self.tenant_key)),
            ("identities.default", self.identities.default.clone()),
            ("identities.max_linked", self.identities.max_linked.to_string()),
            ("tokens", list(&tokens)),
            ("load", list(&self.load)),
            ("telemetry.level", self.telemetry.level.clone()),
            ("telemetry.format", format.to_owned()),
            ("telemetry.otlp", option(&self.telemetry.otlp)),
        ]
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value))
        .collect::<Vec<_>>();
        for (section, security) in [("ledger", &self.ledger.security), ("kafka", &self.kafka.security)] {
            out.extend(security.iter().map(|(k, v)| (format!("{section}.security.{k}"), v.clone())));
        }
        out
    }
}
