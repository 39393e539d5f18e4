//! The check: what would make a command fail is named before one is sent.

use quietus_contract::{CheckReport, Connector, Outcome, Work};
use quietus_redis::RedisConnector;

use crate::cache::{Cache, connector, erase, key, set, user};

async fn fatal(connector: &RedisConnector) -> Vec<(String, String)> {
    let CheckReport { problems } = connector.check().await;
    problems.into_iter().filter(|p| p.fatal).map(|p| (p.code.to_owned(), p.detail)).collect()
}

#[tokio::test]
async fn a_sound_server_passes_and_is_left_as_it_was() {
    let cache = Cache::open().await;
    let connector = cache.connector(&[key("user:{id}"), set("users:all", "{id}")]);
    let _: String = cache.ask(&["SET", "user:0", "x"]).await;
    assert_eq!(fatal(&connector).await, []);
    assert_eq!(cache.keys().await, ["user:0"]);
    let now = connector.now().await.expect("a clock").expect("its own");
    assert!(now > 1_700_000_000_000);
}

#[tokio::test]
async fn a_replica_and_a_cluster_are_refused_at_the_check_and_at_the_call() {
    let primary = Cache::open().await;
    let port = primary.server.port().to_string();
    let replica = Cache::open_with(&["--replicaof", "127.0.0.1", &port]).await;
    let cluster =
        Cache::open_with(&["--cluster-enabled", "yes", "--cluster-config-file", "nodes.conf"]).await;
    for (cache, code, word) in [(&replica, "denied", "replica"), (&cluster, "cannot_execute", "cluster")] {
        let connector = cache.connector(&[key("user:{id}")]);
        let found = fatal(&connector).await;
        assert!(found.iter().any(|(c, detail)| c == code && detail.contains(word)), "{found:?}");
        let outcomes = erase(&connector, &[user(1, "1", Work::Delete)]).await;
        assert!(matches!(outcomes.as_slice(), [Outcome::Failed(f)] if !f.may_retry), "{outcomes:?}");
    }
}

#[tokio::test]
async fn a_right_that_is_missing_is_named() {
    let cache = Cache::open().await;
    let rights = "ACL SETUSER ann on >pw ~user:* +@read +hello +time +eval +multi +discard +scan -unlink";
    let _: String = cache.ask(&rights.split(' ').collect::<Vec<_>>()).await;
    let url = cache.server.url().replace("redis://", "redis://ann:pw@");
    let found = fatal(&connector(&url, &[key("user:{id}")])).await;
    assert!(found.iter().any(|(code, detail)| code == "denied" && detail.starts_with("UNLINK")), "{found:?}");
    let outcomes = erase(&connector(&url, &[key("user:{id}")]), &[user(1, "1", Work::Delete)]).await;
    assert_eq!(outcomes, [Outcome::Absent]);
    let _: String = cache.ask(&["SET", "user:1", "x"]).await;
    let outcomes = erase(&connector(&url, &[key("user:{id}")]), &[user(1, "1", Work::Delete)]).await;
    assert!(matches!(outcomes.as_slice(), [Outcome::Failed(f)] if f.code == "denied"), "{outcomes:?}");
    let wrong = cache.server.url().replace("redis://", "redis://ann:wrong@");
    let found = fatal(&connector(&wrong, &[key("user:{id}")])).await;
    assert!(found.iter().any(|(code, _)| code == "denied"), "{found:?}");
}

#[tokio::test]
async fn a_star_beside_a_column_is_warned_of() {
    let cache = Cache::open().await;
    let report = cache.connector(&[key("session:{id}*")]).check().await;
    assert!(report.problems.iter().any(|p| p.code == "cascade" && !p.fatal));
}
