//! A database with a few tables, a connector on it, and a session of the test's own.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use quietus_contract::{
    CommandId, Connector, Failure, Finding, Gate, Locator, Outcome, Permit, Scalar, Secret, Target, Verdict,
    Work,
};
use quietus_core::system::{Collection, Dataset, Field, Manifest};
use quietus_core::verdict::Action;
use quietus_sqlite::SqliteConnector;
use rusqlite::Connection;

pub struct Shop {
    _dir: tempfile::TempDir,
    pub path: String,
    pub connector: SqliteConnector,
}

impl Shop {
    pub fn new(sql: &str, collections: Vec<Collection>) -> Self {
        let dir = tempfile::tempdir().expect("dir");
        let path = dir.path().join("shop ü.db").display().to_string();
        Connection::open(&path).expect("made").execute_batch(sql).expect("schema");
        let manifest = Manifest {
            system: "shop-db".into(),
            kind: "sqlite".into(),
            datasets: vec![Dataset { fides_key: "shop".into(), schema: None, collections }],
            ..Manifest::default()
        };
        let connector = SqliteConnector::open(&manifest, &format!("sqlite://{path}")).expect("opened");
        Self { _dir: dir, path, connector }
    }

    /// The harness's own look: another session.
    pub fn count(&self, sql: &str) -> i64 {
        Connection::open(&self.path).expect("open").query_row(sql, [], |r| r.get(0)).expect("counted")
    }

    pub async fn erase(&self, targets: &[Target]) -> Vec<Outcome> {
        self.erase_through(targets, Arc::new(Open)).await
    }

    pub async fn erase_through(&self, targets: &[Target], gate: Arc<dyn Gate>) -> Vec<Outcome> {
        let mut answers = self.connector.erase(targets, &permit(), gate).await;
        assert_eq!(answers.len(), targets.len());
        answers.sort_by_key(|a| a.command);
        answers.into_iter().map(|a| a.outcome).collect()
    }

    pub async fn found(&self, target: &Target) -> Finding {
        self.connector.verify(std::slice::from_ref(target)).await.remove(0).finding
    }
}

pub struct Open;

#[async_trait]
impl Gate for Open {
    async fn may_commit(&self, commands: &[CommandId]) -> Vec<Verdict> {
        vec![Verdict::Go; commands.len()]
    }
}

pub fn permit() -> Permit {
    Permit::issue(1, 1, [0; 32], Duration::from_secs(10))
}

pub fn collection(name: &str, key: &[&str], fields: &[(&str, &str)]) -> Collection {
    Collection {
        name: name.into(),
        key: key.iter().map(|k| (*k).to_owned()).collect(),
        fields: fields
            .iter()
            .map(|(n, c)| Field {
                name: (*n).into(),
                categories: if c.is_empty() { vec![] } else { vec![(*c).into()] },
                ..Field::default()
            })
            .collect(),
        ..Collection::default()
    }
}

pub fn target(n: u8, dataset: &str, locator: &[(&str, Scalar)], work: Work) -> Target {
    Target {
        command: CommandId([n; 16]),
        attempt: 1,
        dataset: dataset.into(),
        locator: locator.iter().map(|(c, v)| ((*c).to_owned(), v.clone())).collect::<Locator>(),
        identities: Vec::new(),
        answered_at: None,
        work,
    }
}

pub fn text(t: &str) -> Scalar {
    Scalar::Text(Secret::new(t))
}

pub fn delete(n: u8, table: &str, column: &str, value: Scalar) -> Target {
    target(n, &format!("shop.{table}"), &[(column, value)], Work::Delete)
}

pub fn mask(n: u8, table: &str, id: i64, categories: &[&str]) -> Target {
    let categories = categories.iter().map(|c| (*c).to_owned()).collect();
    let work = Work::Change { action: Action::Mask, categories };
    target(n, &format!("shop.{table}"), &[("id", Scalar::Integer(id))], work)
}

pub fn constraint(outcome: &Outcome) -> bool {
    matches!(
        outcome,
        Outcome::Failed(Failure { code: "constraint", may_retry: true, might_have_happened: false, .. })
    )
}
