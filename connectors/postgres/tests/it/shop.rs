//! What the tests share: a database, a manifest, targets, and gates.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use quietus_contract::{
    CommandId, Connector, Finding, Gate, Identity, Locator, Outcome, Permit, Scalar, Secret, Target,
    TargetOutcome, Verdict, Work,
};
use quietus_core::system::{Collection, Dataset, Field, Manifest, SubjectColumn};
use quietus_core::verdict::Action;
use quietus_postgres::PostgresConnector;
use quietus_test_servers::Postgres;
use tokio_postgres::{Client, NoTls};

pub struct Shop {
    pub connector: PostgresConnector,
    /// The harness's own session.
    pub sql: Client,
    pub url: String,
    pub manifest: Manifest,
    _server: Arc<Postgres>,
}

impl Shop {
    pub async fn open(schema: &str, collections: Vec<Collection>) -> Self {
        Self::open_with(schema, manifest(None, collections)).await
    }

    pub async fn open_with(schema: &str, manifest: Manifest) -> Self {
        let server = Postgres::shared().unwrap();
        let url = server.database().unwrap();
        let sql = connect(&url).await;
        sql.batch_execute(schema).await.unwrap();
        let connector = PostgresConnector::new(&manifest, &url).unwrap();
        Self { connector, sql, url, manifest, _server: server }
    }

    pub async fn erase(&self, targets: &[Target]) -> Vec<Outcome> {
        self.erase_through(targets, Arc::new(Open)).await
    }

    pub async fn erase_through(&self, targets: &[Target], gate: Arc<dyn Gate>) -> Vec<Outcome> {
        let answers = self.connector.erase(targets, &permit(10_000), gate).await;
        in_order(targets, answers)
    }

    pub async fn verify(&self, target: &Target) -> Finding {
        self.connector.verify(std::slice::from_ref(target)).await.remove(0).finding
    }

    pub async fn count(&self, what: &str) -> i64 {
        self.sql.query_one(&format!("SELECT count(*) FROM {what}"), &[]).await.unwrap().get(0)
    }

    pub async fn text(&self, query: &str) -> Option<String> {
        self.sql.query_one(query, &[]).await.unwrap().get(0)
    }
}

pub async fn connect(url: &str) -> Client {
    let (client, driver) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(driver);
    client
}

/// One answer for every target, in the targets' order.
pub fn in_order(targets: &[Target], answers: Vec<TargetOutcome>) -> Vec<Outcome> {
    assert_eq!(answers.len(), targets.len());
    targets
        .iter()
        .map(|t| {
            let mut mine = answers.iter().filter(|a| a.command == t.command);
            let answer = mine.next().expect("an answer for every target");
            assert!(mine.next().is_none(), "two answers for one target");
            answer.outcome.clone()
        })
        .collect()
}

#[expect(clippy::disallowed_methods, reason = "a test of a connector issues its own permits")]
pub fn permit(lease_ms: u64) -> Permit {
    Permit::issue(1, 1, [0; 32], Duration::from_millis(lease_ms))
}

pub fn manifest(schema: Option<&str>, collections: Vec<Collection>) -> Manifest {
    let dataset = Dataset { fides_key: "shop".into(), schema: schema.map(Into::into), collections };
    Manifest {
        system: "shop-db".into(),
        kind: "postgres".into(),
        datasets: vec![dataset],
        ..Manifest::default()
    }
}

pub fn collection(name: &str, key: &[&str]) -> Collection {
    Collection {
        name: name.into(),
        key: key.iter().map(|k| (*k).to_owned()).collect(),
        ..Collection::default()
    }
}

pub fn with_subject(mut collection: Collection, column: &str, kind: &str) -> Collection {
    collection.subject = Some(SubjectColumn { column: column.into(), kind: kind.into() });
    collection
}

pub fn with_field(mut collection: Collection, name: &str, category: &str, mask: Option<&str>) -> Collection {
    collection.fields.push(Field {
        name: name.into(),
        categories: vec![category.into()],
        mask: mask.map(Into::into),
        ..Field::default()
    });
    collection
}

pub fn target(number: u64, collection: &str, key: &[(&str, &str)]) -> Target {
    let mut command = [0; 16];
    command[..8].copy_from_slice(&number.to_be_bytes());
    let locator: Locator =
        key.iter().map(|(c, v)| ((*c).to_owned(), Scalar::Text(Secret::new(*v)))).collect();
    Target {
        command: CommandId(command),
        attempt: 1,
        dataset: format!("shop.{collection}").into(),
        locator,
        identities: Vec::new(),
        answered_at: None,
        work: Work::Delete,
    }
}

pub fn of(mut target: Target, kind: &str, value: &str) -> Target {
    target.identities.push(Identity { kind: kind.into(), value: Secret::new(value) });
    target
}

pub fn masking(mut target: Target, categories: &[&str]) -> Target {
    let categories = categories.iter().map(|c| (*c).to_owned()).collect();
    target.work = Work::Change { action: Action::Mask, categories };
    target
}

/// Lets everything through.
#[derive(Debug)]
pub struct Open;

#[async_trait]
impl Gate for Open {
    async fn may_commit(&self, commands: &[CommandId]) -> Vec<Verdict> {
        vec![Verdict::Go; commands.len()]
    }
}

/// Stops the named commands, and remembers who asked.
#[derive(Debug, Default)]
pub struct Holding {
    pub held: BTreeSet<CommandId>,
    pub asked: Mutex<Vec<CommandId>>,
}

#[async_trait]
impl Gate for Holding {
    async fn may_commit(&self, commands: &[CommandId]) -> Vec<Verdict> {
        self.asked.lock().unwrap().extend(commands);
        commands.iter().map(|c| if self.held.contains(c) { Verdict::Stop } else { Verdict::Go }).collect()
    }
}

/// Takes its time.
#[derive(Debug)]
pub struct Slow(pub Duration);

#[async_trait]
impl Gate for Slow {
    async fn may_commit(&self, commands: &[CommandId]) -> Vec<Verdict> {
        tokio::time::sleep(self.0).await;
        vec![Verdict::Go; commands.len()]
    }
}
