//! What goes, what stays, and what is said of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use quietus_contract::{CommandId, Connector, Failure, Gate, Outcome, Verdict, Work};

use crate::cache::{Cache, connector, erase, fields, key, permit, said, set, user};

#[tokio::test]
async fn every_place_of_a_record_goes_and_is_counted() {
    let cache = Cache::open().await;
    let connector = cache.connector(&[
        key("user:{id}"),
        fields("profile:{id}", &["email", "phone", "fax"]),
        set("users:all", "{id}"),
        set("users:by-age", "{id}"),
        key("session:{id}:*"),
    ]);
    let _: i64 = cache.ask(&["HSET", "profile:1", "email", "a@x", "phone", "1", "nick", "ann"]).await;
    let _: String = cache.ask(&["SET", "user:1", "{}"]).await;
    let _: i64 = cache.ask(&["SADD", "users:all", "1", "2"]).await;
    let _: i64 = cache.ask(&["ZADD", "users:by-age", "30", "1", "31", "2"]).await;
    for session in ["session:1:a", "session:1:b", "session:10:a", "session:2:a"] {
        let _: String = cache.ask(&["SET", session, "x"]).await;
    }

    let outcomes = erase(&connector, &[user(1, "1", Work::Delete), user(2, "3", Work::Delete)]).await;
    // The user, two fields of three, a member of each set, two sessions.
    assert_eq!(outcomes, [Outcome::Removed(7), Outcome::Absent]);
    assert_eq!(cache.keys().await, ["profile:1", "session:10:a", "session:2:a", "users:all", "users:by-age"]);
    assert_eq!(cache.ask::<Vec<String>>(&["HKEYS", "profile:1"]).await, ["nick"]);
    assert_eq!(cache.ask::<Vec<String>>(&["SMEMBERS", "users:all"]).await, ["2"]);
    assert_eq!(cache.ask::<Vec<String>>(&["ZRANGE", "users:by-age", "0", "-1"]).await, ["2"]);
}

#[tokio::test]
async fn a_value_is_never_a_glob() {
    let cache = Cache::open().await;
    let connector = cache.connector(&[key("user:{id}"), key("session:{id}:*")]);
    let ids = ["*", "?", "[a-z]", "a", "\\*", "{id}", "a b\r\n"];
    for id in ids {
        let _: String = cache.ask(&["SET", &format!("user:{id}"), "x"]).await;
        let _: String = cache.ask(&["SET", &format!("session:{id}:1"), "x"]).await;
    }
    for (n, id) in (1..).zip(["*", "?", "[a-z]", "\\*", "{id}", "a b\r\n"]) {
        let before = cache.keys().await.len();
        assert_eq!(erase(&connector, &[user(n, id, Work::Delete)]).await, [Outcome::Removed(2)], "{id:?}");
        assert_eq!(cache.keys().await.len(), before - 2, "{id:?}");
    }
    assert_eq!(cache.keys().await, ["session:a:1", "user:a"]);
}

#[tokio::test]
async fn a_walk_over_many_keys_finds_all_of_several_people() {
    let cache = Cache::open().await;
    let connector = cache.connector(&[key("session:{id}:*")]);
    let script =
        "for i = 1, 20000 do redis.call('SET', 'session:' .. i % 1000 .. ':' .. i, 'x') end return 0";
    let _: i64 = cache.ask(&["EVAL", script, "0"]).await;
    let targets: Vec<_> = (1..=50).map(|n| user(n, &n.to_string(), Work::Delete)).collect();
    assert_eq!(erase(&connector, &targets).await, vec![Outcome::Removed(20); 50]);
    assert_eq!(cache.ask::<i64>(&["DBSIZE"]).await, 20_000 - 50 * 20);
}

#[tokio::test]
async fn a_key_of_another_type_fails_its_own_record_and_says_what_may_have_happened() {
    let cache = Cache::open().await;
    let connector = cache.connector(&[key("user:{id}"), fields("profile:{id}", &["email"])]);
    for name in ["user:1", "profile:1", "user:2"] {
        let _: String = cache.ask(&["SET", name, "x"]).await;
    }
    let outcomes = erase(&connector, &[user(1, "1", Work::Delete), user(2, "2", Work::Delete)]).await;
    let [Outcome::Failed(failure), Outcome::Removed(1)] = outcomes.as_slice() else {
        panic!("{outcomes:?}");
    };
    assert_eq!((failure.code, failure.may_retry, failure.might_have_happened), ("conflict", false, true));
}

/// Stops from the second question on.
#[derive(Default)]
struct Once(AtomicUsize);

#[async_trait]
impl Gate for Once {
    async fn may_commit(&self, commands: &[CommandId]) -> Vec<Verdict> {
        let first = self.0.fetch_add(1, Ordering::SeqCst) == 0;
        vec![if first { Verdict::Go } else { Verdict::Stop }; commands.len()]
    }
}

#[tokio::test]
async fn a_hold_that_comes_between_two_slices_stops_the_rest() {
    let cache = Cache::open().await;
    let connector = cache.connector(&[key("session:{id}:*")]);
    let script = "for i = 1, 1200 do redis.call('SET', 'session:1:' .. i, 'x') end return 0";
    let _: i64 = cache.ask(&["EVAL", script, "0"]).await;
    let target = [user(1, "1", Work::Delete)];
    let outcomes =
        said(connector.erase(&target, &permit(Duration::from_secs(30)), Arc::new(Once::default())).await);
    assert!(matches!(outcomes.as_slice(), [Outcome::Blocked { .. }]), "{outcomes:?}");
    assert_eq!(cache.ask::<i64>(&["DBSIZE"]).await, 700);
}

/// Keeps the server busy while the gate is asked, so that the script arrives after the deadline.
struct Stall(Cache);

#[async_trait]
impl Gate for Stall {
    async fn may_commit(&self, commands: &[CommandId]) -> Vec<Verdict> {
        let mut other = self.0.session.clone();
        tokio::spawn(async move {
            let _: Result<i64, _> = redis::cmd("DEBUG").arg("SLEEP").arg("0.4").query_async(&mut other).await;
        });
        // The sleep reaches the server before the script does.
        tokio::time::sleep(Duration::from_millis(50)).await;
        vec![Verdict::Go; commands.len()]
    }
}

#[tokio::test]
async fn the_servers_own_clock_keeps_the_lease_however_late_the_script_runs() {
    let cache = Cache::open_with(&["--enable-debug-command", "yes"]).await;
    let connector = cache.connector(&[key("user:{id}")]);
    let _: String = cache.ask(&["SET", "user:1", "x"]).await;
    let gate = Arc::new(Stall(cache));
    let target = [user(1, "1", Work::Delete)];
    let outcomes = said(connector.erase(&target, &permit(Duration::from_millis(250)), gate.clone()).await);
    let [Outcome::Failed(failure)] = outcomes.as_slice() else { panic!("{outcomes:?}") };
    assert_eq!((failure.code, failure.may_retry, failure.might_have_happened), ("expired", true, false));
    assert_eq!(gate.0.keys().await, ["user:1"]);
}

#[tokio::test]
async fn a_server_that_is_away_fails_with_nothing_happened_and_goes_on_when_it_is_back() {
    let mut cache = Cache::open().await;
    let connector = cache.connector(&[key("user:{id}")]);
    cache.server.stop().expect("stopped");
    let target = [user(1, "1", Work::Delete)];
    let outcomes = erase(&connector, &target).await;
    let harmless = |o: &Outcome| {
        matches!(o, Outcome::Failed(Failure { may_retry: true, might_have_happened: false, .. }))
    };
    assert!(outcomes.iter().all(harmless), "{outcomes:?}");
    cache.server.start_again().expect("started");
    assert_eq!(erase(&connector, &target).await, [Outcome::Absent]);
}

#[tokio::test]
async fn tls_to_a_server_without_it_is_unreachable() {
    let cache = Cache::open().await;
    let url = cache.server.url().replace("redis://", "rediss://");
    let outcomes = erase(&connector(&url, &[key("user:{id}")]), &[user(1, "1", Work::Delete)]).await;
    assert!(matches!(outcomes.as_slice(), [Outcome::Failed(f)] if f.code == "unreachable"), "{outcomes:?}");
}
