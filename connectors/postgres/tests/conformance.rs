//! The laws on the PostgreSQL connector, on a real server, read with a session of the harness's own.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use quietus_conformance::{Harness, Row, broken_laws, fixture, prove, run};
use quietus_contract::Connector;
use quietus_postgres::PostgresConnector;
use quietus_test_servers::Postgres;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, NoTls};

/// One database; its schema is made anew for each law.
struct Shop {
    sql: Client,
    url: String,
    _server: Arc<Postgres>,
}

impl Shop {
    async fn open() -> Result<Self, String> {
        let server = Postgres::shared()?;
        let url = server.database()?;
        let (sql, driver) = tokio_postgres::connect(&url, NoTls).await.map_err(said)?;
        tokio::spawn(driver);
        Ok(Self { sql, url, _server: server })
    }
}

fn said(error: tokio_postgres::Error) -> String {
    format!("{error:?}")
}

fn connector(url: &str) -> Result<Arc<dyn Connector>, String> {
    let made = PostgresConnector::new(&fixture::manifest("postgres"), url);
    Ok(Arc::new(made.map_err(|e| e.to_string())?))
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

#[async_trait]
impl Harness for Shop {
    async fn prepare(&self, rows: &[Row]) -> Result<Arc<dyn Connector>, String> {
        let anew = "SET lock_timeout = '20s'; SET client_min_messages = warning; DROP SCHEMA public CASCADE; CREATE SCHEMA public";
        self.sql.batch_execute(anew).await.map_err(said)?;
        for statement in fixture::ddl() {
            self.sql.batch_execute(&statement).await.map_err(said)?;
        }
        for row in rows {
            self.put(row).await?;
        }
        connector(&self.url)
    }

    async fn put(&self, row: &Row) -> Result<(), String> {
        let (_, table, columns) = fixture::tables()
            .into_iter()
            .find(|(dataset, ..)| *dataset == row.dataset)
            .ok_or_else(|| format!("no table for {}", row.dataset))?;
        let names: Vec<String> = columns.iter().map(|c| quoted(c)).collect();
        let marks: Vec<String> = (1..)
            .zip(columns)
            .map(|(n, c)| {
                format!("${n}::text{}", if fixture::is_integer(&row.dataset, c) { "::bigint" } else { "" })
            })
            .collect();
        let key: Vec<String> = fixture::key(&row.dataset).iter().map(|k| quoted(k)).collect();
        let sets: Vec<String> = names.iter().map(|n| format!("{n} = EXCLUDED.{n}")).collect();
        let sql = format!(
            "INSERT INTO {} ({}) VALUES ({}) ON CONFLICT ({}) DO UPDATE SET {}",
            quoted(table),
            names.join(", "),
            marks.join(", "),
            key.join(", "),
            sets.join(", ")
        );
        let values: Vec<Option<&str>> = columns.iter().map(|c| row.get(c)).collect();
        let values: Vec<&(dyn ToSql + Sync)> = values.iter().map(|v| v as &(dyn ToSql + Sync)).collect();
        self.sql.execute(&sql, &values).await.map(|_| ()).map_err(said)
    }

    async fn rows(&self) -> Result<Vec<Row>, String> {
        let mut rows = Vec::new();
        for (dataset, table, columns) in fixture::tables() {
            let names: Vec<String> = columns.iter().map(|c| format!("{}::text", quoted(c))).collect();
            let sql = format!("SELECT {} FROM {}", names.join(", "), quoted(table));
            for found in self.sql.query(&sql, &[]).await.map_err(said)? {
                let read = columns.iter().enumerate().map(|(i, c)| ((*c).to_owned(), found.get(i)));
                rows.push(Row { dataset: dataset.to_owned(), columns: read.collect::<BTreeMap<_, _>>() });
            }
        }
        Ok(rows)
    }

    async fn unreachable(&self) -> Option<Arc<dyn Connector>> {
        connector("postgres://nobody@127.0.0.1:1/none").ok()
    }
}

#[tokio::test]
async fn the_postgres_connector_passes_every_law() {
    let results = run(&Shop::open().await.expect("a server")).await;
    assert_eq!(broken_laws(&results), Vec::<String>::new());
    let readme = include_str!("../README.md");
    let can = connector("postgres://nobody@127.0.0.1:1/none").expect("a well-formed address").describe();
    for table in [quietus_conformance::table(&results), quietus_conformance::abilities(&can)] {
        assert!(readme.contains(&table), "README.md is to hold:\n{table}");
    }
}

#[tokio::test]
async fn each_broken_connector_fails_exactly_its_law() {
    let shop = Shop::open().await.expect("a server");
    assert_eq!(prove(Arc::new(shop)).await, Vec::<String>::new());
}
