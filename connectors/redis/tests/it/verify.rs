//! The read-back, on its own.

use quietus_contract::{Connector, Finding, Work};

use crate::cache::{Cache, fields, finding, key, set, user};

#[tokio::test]
async fn what_is_still_there_is_counted_and_nothing_else() {
    let cache = Cache::open().await;
    let connector = cache.connector(&[
        fields("profile:{id}", &["email", "phone"]),
        set("users:all", "{id}"),
        key("session:{id}:*"),
    ]);
    let target = user(1, "1", Work::Delete);
    assert_eq!(finding(&connector, &target).await, Finding::Gone);
    let _: i64 = cache.ask(&["HSET", "profile:1", "email", "a", "nick", "b"]).await;
    let _: i64 = cache.ask(&["ZADD", "users:all", "1", "1"]).await;
    for session in ["session:1:a", "session:1:b", "session:10:a", "session:*:a"] {
        let _: String = cache.ask(&["SET", session, "x"]).await;
    }
    assert!(matches!(finding(&connector, &target).await, Finding::Found { count: 4, .. }));
    let star = user(2, "*", Work::Delete);
    assert!(matches!(finding(&connector, &star).await, Finding::Found { count: 1, .. }));
    let back = connector.verify(&[star]).await;
    assert!(back[0].identity_rows.is_none() && !back[0].not_checked.is_empty() && back[0].at.is_some());
}

#[tokio::test]
async fn what_cannot_be_read_is_never_gone() {
    let mut cache = Cache::open().await;
    let connector = cache.connector(&[fields("profile:{id}", &["email"])]);
    let _: String = cache.ask(&["SET", "profile:1", "x"]).await;
    let target = user(1, "1", Work::Delete);
    assert!(matches!(finding(&connector, &target).await, Finding::Unreadable(_)));
    cache.server.stop().expect("stopped");
    assert!(matches!(finding(&connector, &target).await, Finding::Unreadable(_)));
}
