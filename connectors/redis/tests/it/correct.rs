//! A correction takes the stale copy away; a copy made anew counts when it holds the corrected value.

use std::sync::Arc;
use std::time::Duration;

use quietus_contract::{Change, Connector, Finding, Outcome, Secret, Target, Work};

use crate::cache::{Cache, Open, fields, finding, key, permit, said, set, user};

fn corrected(value: Option<&str>) -> Target {
    let change = Change { category: "user.name".into(), value: value.map(Secret::new) };
    user(1, "1", Work::Correct(vec![change]))
}

#[tokio::test]
async fn the_stale_copy_goes_and_the_names_in_sets_stay() {
    let cache = Cache::open().await;
    let connector =
        cache.connector(&[key("user:{id}"), fields("profile:{id}", &["name"]), set("users:all", "{id}")]);
    let _: String = cache.ask(&["SET", "user:1", r#"{"name":"An"}"#]).await;
    let _: i64 = cache.ask(&["HSET", "profile:1", "name", "An", "age", "3"]).await;
    let _: i64 = cache.ask(&["SADD", "users:all", "1"]).await;
    let target = [corrected(Some("Zoë"))];
    let outcomes = said(connector.correct(&target, &permit(Duration::from_secs(9)), Arc::new(Open)).await);
    assert_eq!(outcomes, [Outcome::Removed(2)]);
    assert_eq!(cache.keys().await, ["profile:1", "users:all"]);
    assert_eq!(finding(&connector, &target[0]).await, Finding::Gone);
}

#[tokio::test]
async fn a_copy_made_anew_is_mended_when_it_holds_the_value() {
    let cache = Cache::open().await;
    let connector = cache.connector(&[key("user:{id}")]);
    for (content, is_mended) in
        [(r#"{"name":"Zoë"}"#, true), (r#"{"name":"Zo\u00eb"}"#, true), (r#"{"name":"Zoe"}"#, false)]
    {
        let _: String = cache.ask(&["SET", "user:1", content]).await;
        let found = finding(&connector, &corrected(Some("Zoë"))).await;
        assert_eq!(found == Finding::Gone, is_mended, "{content}");
    }
    let cleared = finding(&connector, &corrected(None)).await;
    assert!(matches!(cleared, Finding::Unreadable(f) if f.may_retry), "nobody can see what was cleared");
    let _: i64 = cache.ask(&["DEL", "user:1"]).await;
    let _: i64 = cache.ask(&["HSET", "user:1", "name", "Zoë"]).await;
    assert_eq!(finding(&connector, &corrected(Some("Zoë"))).await, Finding::Gone);
}
