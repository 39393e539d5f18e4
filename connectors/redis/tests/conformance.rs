//! The laws on the redis connector, on a real server, read with a session of the harness's own.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use quietus_conformance::{Harness, Row, broken_laws, fixture, prove, run};
use quietus_contract::Connector;
use quietus_core::system::{CopiesOf, Manifest};
use quietus_redis::RedisConnector;
use quietus_test_servers::Redis;
use redis::AsyncCommands;
use redis::aio::MultiplexedConnection;

/// One server, emptied for each law. A row is a hash; a letter stands in a set besides, and an order under a key
/// that only a star finds.
struct Cache {
    session: MultiplexedConnection,
    server: Redis,
}

const INDEX: &str = "letters:all";

impl Cache {
    async fn open() -> Result<Self, String> {
        let server = Redis::start()?;
        let client = redis::Client::open(server.url()).map_err(said)?;
        let session = client.get_multiplexed_async_connection().await.map_err(said)?;
        Ok(Self { session, server })
    }
}

fn said(error: redis::RedisError) -> String {
    error.to_string()
}

fn manifest() -> Manifest {
    let entry = |dataset: &str, rest: &[(&str, &str)]| CopiesOf {
        system: "shop-db".into(),
        dataset: Some(dataset.into()),
        rest: rest.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
        fields: Vec::new(),
    };
    Manifest {
        system: "conform".into(),
        kind: "redis".into(),
        copies_of: vec![
            entry(fixture::PEOPLE, &[("key", "people:{id}")]),
            entry(fixture::LETTERS, &[("key", "letters:{letter no}")]),
            entry(fixture::LETTERS, &[("set", INDEX), ("member", "{letter no}")]),
            entry(fixture::ORDERS, &[("key", "orders:{shop}:{no}:*")]),
        ],
        ..Manifest::default()
    }
}

fn connector(url: &str) -> Result<Arc<dyn Connector>, String> {
    Ok(Arc::new(RedisConnector::new(&manifest(), url).map_err(|e| e.to_string())?))
}

fn key(row: &Row) -> String {
    let at = |column: &str| row.get(column).unwrap_or_default();
    match row.dataset.as_str() {
        fixture::PEOPLE => format!("people:{}", at("id")),
        fixture::LETTERS => format!("letters:{}", at("letter no")),
        _ => format!("orders:{}:{}:x", at("shop"), at("no")),
    }
}

#[async_trait]
impl Harness for Cache {
    async fn prepare(&self, rows: &[Row]) -> Result<Arc<dyn Connector>, String> {
        let mut session = self.session.clone();
        redis::cmd("FLUSHALL").query_async::<()>(&mut session).await.map_err(said)?;
        for row in rows {
            self.put(row).await?;
        }
        connector(&self.server.url())
    }

    async fn put(&self, row: &Row) -> Result<(), String> {
        let mut session = self.session.clone();
        let held: Vec<(&String, &String)> =
            row.columns.iter().filter_map(|(c, v)| Some((c, v.as_ref()?))).collect();
        session.del::<_, ()>(key(row)).await.map_err(said)?;
        session.hset_multiple::<_, _, _, ()>(key(row), &held).await.map_err(said)?;
        if row.dataset == fixture::LETTERS {
            session.sadd::<_, _, ()>(INDEX, row.get("letter no")).await.map_err(said)?;
        }
        Ok(())
    }

    async fn rows(&self) -> Result<Vec<Row>, String> {
        let mut session = self.session.clone();
        let mut index: Vec<String> = session.smembers(INDEX).await.map_err(said)?;
        let keys: Vec<String> = session.keys("*").await.map_err(said)?;
        let mut rows = Vec::new();
        for key in keys.iter().filter(|k| *k != INDEX) {
            let held: BTreeMap<String, String> = session.hgetall(key).await.map_err(said)?;
            let prefix = key.split(':').next().unwrap_or_default();
            let (dataset, _, columns) = fixture::tables()
                .into_iter()
                .find(|(dataset, ..)| {
                    *dataset == format!("conform.{prefix}")
                        || (prefix == "letters" && *dataset == fixture::LETTERS)
                })
                .ok_or_else(|| format!("nobody's key: {key}"))?;
            let columns = columns.iter().map(|c| ((*c).to_owned(), held.get(*c).cloned()));
            let row = Row { dataset: dataset.to_owned(), columns: columns.collect() };
            index.retain(|no| dataset != fixture::LETTERS || row.get("letter no") != Some(no));
            rows.push(row);
        }
        // A name left in the set is a record that is still there.
        let left = |no: String| Row {
            dataset: fixture::LETTERS.to_owned(),
            columns: [("letter no".to_owned(), Some(no))].into(),
        };
        rows.extend(index.into_iter().map(left));
        Ok(rows)
    }

    async fn unreachable(&self) -> Option<Arc<dyn Connector>> {
        connector("redis://127.0.0.1:1/").ok()
    }

    fn enforces_references(&self) -> bool {
        false
    }
}

#[tokio::test]
async fn the_redis_connector_passes_every_law() {
    let results = run(&Cache::open().await.expect("a server")).await;
    assert_eq!(broken_laws(&results), Vec::<String>::new());
    let readme = include_str!("../README.md");
    let can = connector("redis://127.0.0.1:1/").expect("a well-formed address").describe();
    for table in [quietus_conformance::table(&results), quietus_conformance::abilities(&can)] {
        assert!(readme.contains(&table), "README.md is to hold:\n{table}");
    }
}

#[tokio::test]
async fn each_broken_connector_fails_exactly_its_law() {
    let cache = Cache::open().await.expect("a server");
    assert_eq!(prove(Arc::new(cache)).await, Vec::<String>::new());
}
