//! The node's configuration from its layers: flag, environment, file, default.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::Args;
use quietus_core::config::{Config, LedgerKind, Origin};
use quietus_core::document::{Diagnostic, Diagnostics};

use super::findings::wrong;
use super::{Failure, files};

/// The flags that are settings.
#[derive(Clone, Debug, Default, Args)]
pub struct Settings {
    /// The configuration file; without it the defaults hold.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Holds the ledger and the store.
    #[arg(long, value_name = "DIR")]
    dir: Option<String>,
    /// Address and port to listen on; port 0 takes a free one.
    #[arg(long, value_name = "ADDR")]
    listen: Option<String>,
}

impl Settings {
    /// All layers, not yet held against each other.
    pub fn layers(&self) -> Result<Config, Failure> {
        let mut config = match &self.config {
            None => Config::default(),
            Some(file) => Config::parse(&file.display().to_string(), &files::read(file)?)
                .map_err(|found| wrong(&found))?,
        };
        config.apply_env(&environment()).map_err(|found| wrong(&found))?;
        for (key, flag, value) in [("dir", "--dir", &self.dir), ("http.listen", "--listen", &self.listen)] {
            if let Some(value) = value {
                config.apply_flag(key, flag, value).map_err(|found| wrong(&found))?;
            }
        }
        Ok(config)
    }

    /// A configuration that a node can run on.
    pub fn usable(&self) -> Result<Config, Failure> {
        let config = self.layers()?;
        let mut found = config.check();
        found.extend(unsupported(&config));
        if found.is_empty() { Ok(config) } else { Err(wrong(&found)) }
    }
}

/// Settings that are known, and that this build cannot honour: running on without them would be a surprise.
fn unsupported(config: &Config) -> Vec<Diagnostic> {
    let mut out = Vec::new();
    let mut refuse = |key: &str, detail: &str, fix: &str| {
        let origin = config.origin(key);
        let (file, line, column) = match origin {
            Origin::File { file, line, column } => (file, line, column),
            other => (other.to_string(), 1, 1),
        };
        let mut found = Diagnostics::new(&file);
        found.error((line, column), detail, fix);
        out.extend(found.into_vec());
    };
    if config.ledger.kind == LedgerKind::Kafka {
        refuse("ledger.kind", "this build has no Kafka ledger", "write `kind: embedded`");
    }
    out
}

/// What cannot be read as text is no setting of ours.
fn environment() -> BTreeMap<String, String> {
    std::env::vars_os().filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?))).collect()
}
