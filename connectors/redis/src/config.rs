//! Where the server is, what lies there for whom, and how a session is opened: never shown, a URL carries a password.
//!
//! Writing and reading back never share a session: each call opens its own. A cluster and a replica are refused when
//! a session is opened, so that nothing is ever said of a part of the data.

use std::fmt;
use std::time::Duration;

use quietus_contract::{Failure, Locator};
use quietus_core::system::{CopiesOf, Manifest};
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, RedisResult};

use crate::failure;
use crate::template::{Name, Template};

const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// How long one answer may take: a SCAN step or a script of this connector takes milliseconds.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

#[derive(Clone)]
pub(crate) struct Config {
    client: Client,
    pub(crate) entries: Vec<Entry>,
}

/// One line of `copies_of`: where the copies of that dataset's records lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// `dataset.collection` of the origin; None = every one of that system.
    dataset: Option<String>,
    pub(crate) key: Template,
    pub(crate) shape: Shape,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// The key as a whole.
    Key,
    /// Only these fields of the hash under it.
    Fields(Vec<String>),
    /// One member of the set, or of the sorted set, under it.
    Member(Template),
}

/// One thing to be gone.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Spot {
    pub(crate) key: Name,
    pub(crate) what: What,
}

#[derive(Clone, PartialEq, Eq)]
pub(crate) enum What {
    Key,
    Fields(Vec<String>),
    Member(String),
}

impl Config {
    pub(crate) fn new(manifest: &Manifest, url: &str) -> Result<Self, Failure> {
        // The TLS library wants its cryptography named once per process; a second naming changes nothing.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let client = Client::open(url).map_err(|_| {
            let detail =
                "connection.url is no Redis URL: redis://USER:PASSWORD@HOST:PORT/DB, or rediss:// for TLS";
            Failure::fatal("unreachable", detail)
        })?;
        let entries = manifest.copies_of.iter().map(entry).collect::<Result<Vec<_>, _>>()?;
        if entries.is_empty() {
            let detail = "the manifest says nowhere what lies here: add `copies_of: [{system, dataset, key: \"user:{id}\"}]`";
            return Err(Failure::fatal("missing_key", detail));
        }
        Ok(Self { client, entries })
    }

    /// A session of its own, on a server that holds all of the data and takes writes.
    pub(crate) async fn session(&self) -> Result<MultiplexedConnection, Failure> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_WITHIN))
            .set_response_timeout(Some(ANSWER_WITHIN));
        let opened = self.client.get_multiplexed_async_connection_with_config(&config).await;
        let mut session = opened.map_err(|e| failure::connecting(&e))?;
        let server = hello(&mut session).await.map_err(|e| failure::hello(&e))?;
        match (server.get("mode"), server.get("role")) {
            (Some("standalone"), Some("master")) => Ok(session),
            (Some("standalone"), _) => Err(Failure::fatal(
                "denied",
                "the server is a replica, which takes no writes: name the primary in connection.url",
            )),
            (Some(mode), _) => Err(Failure::fatal(
                "cannot_execute",
                format!(
                    "the server runs in {mode} mode: this connector sees one server's keys only, so it refuses"
                ),
            )),
            (None, _) => {
                Err(Failure::fatal("cannot_execute", "the server does not say in which mode it runs"))
            }
        }
    }

    /// Everything that a record of this dataset has here; the error is why it cannot be said.
    pub(crate) fn spots(&self, dataset: &str, locator: &Locator) -> Result<Vec<Spot>, String> {
        let lacks =
            |column: String| format!("a template of copies_of names {column}, which the locator lacks");
        let mut spots = Vec::new();
        for entry in self.entries.iter().filter(|e| e.dataset.as_deref().is_none_or(|d| d == dataset)) {
            let what = match &entry.shape {
                Shape::Key => What::Key,
                Shape::Fields(fields) => What::Fields(fields.clone()),
                Shape::Member(member) => What::Member(member.fill(locator).map_err(lacks)?.pieces().concat()),
            };
            spots.push(Spot { key: entry.key.fill(locator).map_err(lacks)?, what });
        }
        if spots.is_empty() { Err(format!("no entry of copies_of names {dataset}")) } else { Ok(spots) }
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config").field("entries", &self.entries).finish_non_exhaustive()
    }
}

fn entry(copies: &CopiesOf) -> Result<Entry, Failure> {
    let part = |name: &str| copies.rest.get(name).map(|text| Template::parse(text));
    let (key, shape) = match (part("key"), part("set"), part("member")) {
        (Some(key), None, _) if copies.fields.is_empty() => (key, Shape::Key),
        (Some(key), None, _) => (key, Shape::Fields(copies.fields.clone())),
        (None, Some(set), Some(member)) if !member.is_pattern() => (set, Shape::Member(member)),
        (None, Some(_), Some(_)) => {
            return Err(Failure::fatal(
                "missing_key",
                "a `member` of copies_of holds a `*`: name one member",
            ));
        }
        _ => {
            let detail = format!(
                "the copies of {} have no place here: give the entry `key: \"user:{{id}}\"`, or `set` and `member`",
                copies.dataset.as_deref().unwrap_or(&copies.system)
            );
            return Err(Failure::fatal("missing_key", detail));
        }
    };
    Ok(Entry { dataset: copies.dataset.clone(), key, shape })
}

/// What the server says of itself.
struct Hello(Vec<(String, redis::Value)>);

impl Hello {
    fn get(&self, name: &str) -> Option<&str> {
        let (_, value) = self.0.iter().find(|(key, _)| key == name)?;
        match value {
            redis::Value::BulkString(bytes) => std::str::from_utf8(bytes).ok(),
            redis::Value::SimpleString(text) => Some(text),
            _ => None,
        }
    }
}

async fn hello(session: &mut MultiplexedConnection) -> RedisResult<Hello> {
    redis::cmd("HELLO").arg(2).query_async(session).await.map(Hello)
}

/// The server's own clock, microseconds since the epoch.
pub(crate) async fn clock(session: &mut MultiplexedConnection) -> RedisResult<i64> {
    let (seconds, micros): (i64, i64) = redis::cmd("TIME").query_async(session).await?;
    Ok(seconds.saturating_mul(1_000_000).saturating_add(micros))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use quietus_contract::{Scalar, Secret};

    use super::*;

    fn copies(dataset: &str, rest: &[(&str, &str)], fields: &[&str]) -> CopiesOf {
        CopiesOf {
            system: "shop-db".into(),
            dataset: Some(dataset.into()),
            rest: rest.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect::<BTreeMap<_, _>>(),
            fields: fields.iter().map(|f| (*f).to_owned()).collect(),
        }
    }

    fn config(copies_of: Vec<CopiesOf>) -> Result<Config, Failure> {
        Config::new(&Manifest { copies_of, ..Manifest::default() }, "redis://ann:s3cret@127.0.0.1:1/")
    }

    #[test]
    fn every_entry_of_a_dataset_gives_its_spot_and_no_other() {
        let config = config(vec![
            copies("shop.users", &[("key", "user:{id}")], &[]),
            copies("shop.users", &[("set", "users:all"), ("member", "{id}")], &[]),
            copies("shop.users", &[("key", "mail:{id}")], &["email"]),
            copies("shop.orders", &[("key", "order:{id}")], &[]),
        ])
        .expect("sound");
        let locator = [("id".to_owned(), Scalar::Text(Secret::new("*")))].into();
        let spots = config.spots("shop.users", &locator).expect("three");
        let keys: Vec<Option<&str>> = spots.iter().map(|s| s.key.exact()).collect();
        assert_eq!(keys, [Some("user:*"), Some("users:all"), Some("mail:*")]);
        assert!(spots[1].what == What::Member("*".into()));
        assert!(config.spots("shop.letters", &locator).is_err());
        assert!(config.spots("shop.users", &Locator::new()).is_err_and(|why| why.contains("names id")));
    }

    #[test]
    fn a_password_never_shows() {
        let sound = config(vec![copies("a.b", &[("key", "k")], &[])]).expect("sound");
        assert!(!format!("{sound:?}").contains("s3cret"));
        let failure = Config::new(&Manifest::default(), "rodis://ann:s3cret@x").expect_err("no such scheme");
        assert!(!failure.to_string().contains("s3cret"));
    }

    #[test]
    fn an_entry_without_a_place_is_refused() {
        for wrong in [
            vec![],
            vec![copies("a.b", &[], &[])],
            vec![copies("a.b", &[("set", "s"), ("member", "{id}*")], &[])],
        ] {
            assert_eq!(config(wrong).expect_err("no place").code, "missing_key");
        }
    }
}
