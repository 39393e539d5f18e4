//! A server with a cache in it, looked at with a session of the test's own.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use quietus_contract::{
    CommandId, Connector, Finding, Gate, Outcome, Permit, Scalar, Secret, Target, Verdict, Work,
};
use quietus_core::system::{CopiesOf, Manifest};
use quietus_redis::RedisConnector;
use quietus_test_servers::Redis;
use redis::aio::MultiplexedConnection;

pub const USERS: &str = "shop.users";

pub struct Cache {
    pub server: Redis,
    pub session: MultiplexedConnection,
}

impl Cache {
    pub async fn open() -> Self {
        Self::open_with(&[]).await
    }

    pub async fn open_with(options: &[&str]) -> Self {
        let server = Redis::start_with(options).expect("a server");
        let client = redis::Client::open(server.url()).expect("its address");
        let session = client.get_multiplexed_async_connection().await.expect("a session");
        Self { server, session }
    }

    pub fn connector(&self, entries: &[CopiesOf]) -> RedisConnector {
        connector(&self.server.url(), entries)
    }

    /// One command, its words apart.
    pub async fn ask<T: redis::FromRedisValue>(&self, words: &[&str]) -> T {
        let mut cmd = redis::Cmd::new();
        words.iter().for_each(|w| {
            cmd.arg(w);
        });
        cmd.query_async(&mut self.session.clone()).await.expect("an answer")
    }

    pub async fn keys(&self) -> Vec<String> {
        let mut keys: Vec<String> = self.ask(&["KEYS", "*"]).await;
        keys.sort();
        keys
    }
}

pub fn connector(url: &str, entries: &[CopiesOf]) -> RedisConnector {
    let manifest = Manifest {
        system: "shop-cache".into(),
        kind: "redis".into(),
        copies_of: entries.to_vec(),
        ..Manifest::default()
    };
    RedisConnector::new(&manifest, url).expect("a sound manifest")
}

pub fn key(template: &str) -> CopiesOf {
    entry(&[("key", template)], &[])
}

pub fn fields(template: &str, fields: &[&str]) -> CopiesOf {
    entry(&[("key", template)], fields)
}

pub fn set(template: &str, member: &str) -> CopiesOf {
    entry(&[("set", template), ("member", member)], &[])
}

fn entry(rest: &[(&str, &str)], fields: &[&str]) -> CopiesOf {
    CopiesOf {
        system: "shop-db".into(),
        dataset: Some(USERS.into()),
        rest: rest.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
        fields: fields.iter().map(|f| (*f).to_owned()).collect(),
    }
}

pub fn user(n: u8, id: &str, work: Work) -> Target {
    Target {
        command: CommandId([n; 16]),
        attempt: 1,
        dataset: USERS.into(),
        locator: [("id".to_owned(), Scalar::Text(Secret::new(id)))].into(),
        identities: Vec::new(),
        answered_at: None,
        work,
    }
}

pub async fn erase(connector: &RedisConnector, targets: &[Target]) -> Vec<Outcome> {
    said(connector.erase(targets, &permit(Duration::from_secs(30)), Arc::new(Open)).await)
}

pub fn said(answers: Vec<quietus_contract::TargetOutcome>) -> Vec<Outcome> {
    answers.into_iter().map(|a| a.outcome).collect()
}

pub async fn finding(connector: &RedisConnector, target: &Target) -> Finding {
    let backs = connector.verify(std::slice::from_ref(target)).await;
    backs.into_iter().next().expect("one read-back").finding
}

pub fn permit(lease: Duration) -> Permit {
    Permit::issue(1, 1, [0; 32], lease)
}

pub struct Open;

#[async_trait]
impl Gate for Open {
    async fn may_commit(&self, commands: &[CommandId]) -> Vec<Verdict> {
        vec![Verdict::Go; commands.len()]
    }
}
