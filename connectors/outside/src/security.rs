//! How a Kafka client is let in: the one place that knows what the settings are called in the library.

use std::collections::BTreeMap;
use std::fmt;

use rdkafka::ClientConfig;

/// Settings by the library's names; values are resolved.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Security(BTreeMap<&'static str, String>);

impl Security {
    /// Of these settings, those that [`quietus_core::config::SECURITY`] names.
    pub fn of(settings: &BTreeMap<String, String>) -> Self {
        let known = |(name, value): (&String, &String)| Some((key(name, value)?, value.clone()));
        Self(settings.iter().filter_map(known).collect())
    }

    /// By the library's names.
    pub fn into_settings(self) -> BTreeMap<&'static str, String> {
        self.0
    }

    pub fn set_on(&self, config: &mut ClientConfig) {
        for (key, value) in &self.0 {
            config.set(*key, value);
        }
    }
}

fn key(name: &str, value: &str) -> Option<&'static str> {
    let pem = value.contains("-----BEGIN");
    Some(match name {
        "protocol" => "security.protocol",
        "mechanism" => "sasl.mechanism",
        "username" => "sasl.username",
        "password" => "sasl.password",
        "ca" if pem => "ssl.ca.pem",
        "ca" => "ssl.ca.location",
        "cert" if pem => "ssl.certificate.pem",
        "cert" => "ssl.certificate.location",
        "key" if pem => "ssl.key.pem",
        "key" => "ssl.key.location",
        _ => return None,
    })
}

/// Passwords and keys.
impl fmt::Debug for Security {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use quietus_core::config::SECURITY;

    use super::*;

    #[test]
    fn every_setting_reaches_the_library_and_none_is_shown() {
        let settings = |value: &str| {
            let security = Security::of(&SECURITY.map(|name| (name.to_owned(), value.to_owned())).into());
            let mut config = ClientConfig::new();
            security.set_on(&mut config);
            assert!(!format!("{security:?}").contains(value), "{security:?}");
            SECURITY.len() - config.config_map().len()
        };
        assert_eq!((settings("s3cret"), settings("-----BEGIN X-----")), (0, 0));
        assert_eq!(Security::of(&[("topic".to_owned(), "t".to_owned())].into()), Security::default());
    }
}
