//! Where the connector listens, and the secret that both sides sign with: never shown, the settings are secrets.

use std::collections::BTreeMap;
use std::sync::Arc;

use quietus_contract::{Failure, Secret};
use quietus_core::system::Manifest;
use quietus_http::Signer;
use rdkafka::ClientConfig;

use crate::Security;

const COMMANDS: &str = "quietus.commands";

pub(crate) struct Config {
    pub(crate) system: String,
    pub(crate) signer: Arc<Signer>,
    pub(crate) place: Place,
}

pub(crate) enum Place {
    Topics(Topics),
    Url(Secret),
}

/// A pair of topics; other systems may use the same.
#[derive(Clone)]
pub(crate) struct Topics {
    pub(crate) commands: String,
    pub(crate) confirmations: String,
    pub(crate) brokers: String,
    security: Security,
}

impl Config {
    pub(crate) fn new(system: &Manifest, settings: &BTreeMap<String, String>) -> Result<Self, Failure> {
        let secret = settings.get("secret").ok_or_else(|| wrong("connection.secret is missing"))?;
        let place = match settings.get("brokers") {
            Some(brokers) => Place::Topics(Topics::new(brokers, settings)),
            None => Place::Url(Secret::new(settings.get("url").map(String::as_str).unwrap_or_default())),
        };
        let signer = Signer::new(secret).map_err(|why| wrong(&why))?;
        Ok(Self { system: system.system.clone(), signer: Arc::new(signer), place })
    }
}

impl Topics {
    fn new(brokers: &str, settings: &BTreeMap<String, String>) -> Self {
        let commands = settings.get("topic").map_or(COMMANDS, String::as_str).to_owned();
        let stem = commands.strip_suffix(".commands").unwrap_or(&commands);
        let confirmations = format!("{stem}.confirmations");
        let security = Security::of(settings);
        Self { commands, confirmations, brokers: brokers.to_owned(), security }
    }

    pub(crate) fn client(&self, id: &str) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &self.brokers)
            .set("client.id", id)
            .set("reconnect.backoff.max.ms", "2000");
        self.security.set_on(&mut config);
        config
    }
}

pub(crate) fn wrong(detail: &str) -> Failure {
    Failure::fatal("unreachable", detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answers_stand_beside_the_commands() {
        let topics = |topic: Option<&str>| {
            let settings = topic.map(|t| ("topic".to_owned(), t.to_owned())).into_iter().collect();
            Topics::new("b:1", &settings)
        };
        assert_eq!(topics(None).confirmations, "quietus.confirmations");
        assert_eq!(topics(Some("acme.commands")).confirmations, "acme.confirmations");
        assert_eq!(topics(Some("acme")).confirmations, "acme.confirmations");
    }
}
