//! Requests and holds.

use super::*;

fn hold(scope: Value) -> Value {
    json!({"matter": "m-1", "authority": "court", "owner": "legal", "reason": "suit", "review": "2030-01-01", "scope": scope})
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_carried_out_and_tells_each_target() {
    let w = World::shop().await;
    w.customers(&[(1, 2, &["ads"]), (2, 2, &["service"])]).await;
    let taken = w.post("/v1/requests", json!({"type": "erase", "subject": "customer_id:1"})).await;
    assert_eq!(taken.status, 202, "{}", taken.text);
    let path = taken.headers["location"].to_str().unwrap().to_owned();
    assert!(taken.json()["id"].as_str().unwrap().starts_with("rq_") && taken.json()["due"].is_string());
    let mut view = Value::Null;
    for _ in 0..400 {
        view = w.get(&path).await.json();
        if view["state"] == "fulfilled" {
            break;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    assert_eq!((&view["state"], w.rows()), (&json!("fulfilled"), 1), "{view}");
    assert_eq!(view["targets"][0]["outcome"], "verified");
    w.post(&format!("{path}/cancel"), json!({})).await.is_problem(409, "already-done");
    // A contract that runs is not ended by asking.
    let kept = w.post("/v1/requests", json!({"type": "erase", "subject": "customer_id:2"})).await.json();
    assert_eq!(
        (&kept["state"], &kept["targets"][0]["outcome"]),
        (&json!("refused"), &json!("refused")),
        "{kept}"
    );
    let none = w.post("/v1/requests", json!({"type": "erase", "subject": "customer_id:9"})).await.json();
    assert_eq!(none["state"], "nothing_held");
    let page = w.get("/v1/requests?limit=2").await.json();
    let next = page["next"].as_str().unwrap();
    let rest = w.get(&format!("/v1/requests?limit=2&cursor={next}")).await.json();
    assert_eq!((page["items"].as_array().unwrap().len(), rest["items"].as_array().unwrap().len()), (2, 1));
    let later =
        w.post(&format!("{path}/extend"), json!({"until": "2099-01-01T00:00:00Z", "reason": "hard"})).await;
    assert_eq!(later.json()["due"], "2099-01-01T00:00:00Z", "{}", later.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_request_says_where_and_how_to_mend_it() {
    let w = World::shop().await;
    for (body, code) in [
        (json!({"type": "delete", "subject": "1"}), "unknown-type"),
        (json!({"type": "erase", "identities": ["1", "2"], "unverified": true}), "unverified-link"),
        (json!({"type": "erase"}), "subject-missing"),
        (json!({"type": "erase", "subject": "1", "identities": ["1"]}), "subject-missing"),
        (json!({"type": "erase", "subject": "1", "grounds": "unlawfull"}), "unknown-grounds"),
        (json!({"type": "erase", "subject": "1", "regime": "gdrp"}), "unknown-regime"),
        (json!({"type": "withdraw", "subject": "1"}), "purposes-missing"),
        (json!({"type": "withdraw", "subject": "1", "purposes": ["adds"]}), "unknown-purpose"),
        (json!({"type": "erase", "subject": "Ann Example:1"}), "identity-type"),
        (json!({"type": "erase", "subject": {"name": "Ann Example"}}), "wrong-body"),
        (json!({"type": "erase", "subjekt": "1"}), "wrong-body"),
    ] {
        let answer = w.post("/v1/requests", body.clone()).await;
        let problem = answer.is_problem(422, code);
        assert!(problem["errors"][0]["fix"].is_string(), "{problem}");
        assert!(!answer.text.contains("Ann Example"), "{problem}");
    }
    w.get("/v1/requests/rq_none").await.is_problem(404, "not-found");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hold_keeps_what_it_covers_until_it_is_released() {
    let w = World::shop().await;
    w.customers(&[(1, 40, &["service"]), (2, 40, &["service"])]).await;
    let scope = json!({"subjects": ["customer_id:1"]});
    let plan = w.post("/v1/holds?plan=true", hold(scope.clone())).await;
    assert_eq!(plan.json(), json!({"covered": {"items": 1, "copies": 1}, "by_system": {"shop-db": 1}}));
    let placed = w.post("/v1/holds?wait=10s", hold(scope)).await;
    assert_eq!(placed.status, 201, "{}", placed.text);
    let view = placed.json();
    assert_eq!((&view["state"], &view["covered"]), (&json!("effective"), &json!({"items": 1, "copies": 1})));
    assert!(
        view["effective_at"].is_string()
            && view["in_flight"] == json!([])
            && view["not_preserved"] == json!([])
    );
    let report = w.sweep().await;
    assert_eq!((&report["held"], &report["erased"], w.rows()), (&json!(1), &json!(1), 1), "{report}");
    let path = placed.headers["location"].to_str().unwrap();
    let released = w.post(&format!("{path}/release"), json!({"reason": "settled"})).await.json();
    assert_eq!(released["state"], "released");
    assert_eq!((&w.sweep().await["erased"], w.rows()), (&json!(1), 0));
    assert_eq!(w.get("/v1/holds").await.json()["items"][0]["state"], "released");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scope_that_would_preserve_nothing_is_refused() {
    let w = World::shop().await;
    for (scope, code) in [
        (json!({}), "empty-scope"),
        (json!({"all": true, "systems": ["shop-db"]}), "empty-scope"),
        (json!({"systems": ["shop"]}), "unknown-name"),
        (json!({"categories": ["user.contakt"]}), "unknown-name"),
        (json!({"processes": ["order-1"]}), "subjects-missing"),
        (json!({"recorded_from": "then"}), "wrong-time"),
    ] {
        w.post("/v1/holds", hold(scope)).await.is_problem(422, code);
    }
    let mut nobody = hold(json!({"all": true}));
    nobody["owner"] = json!(" ");
    w.post("/v1/holds", nobody).await.is_problem(422, "empty-field");
    assert_eq!(w.get("/v1/holds").await.json()["items"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn access_restriction_and_an_unverified_request_are_told_truthfully() {
    let w = World::shop().await;
    w.customers(&[(1, 2, &["ads"])]).await;
    let held = w.post("/v1/requests", json!({"type": "access", "subject": "customer_id:1"})).await.json();
    assert_eq!(held["state"], "fulfilled", "{held}");
    let target = &held["targets"][0];
    assert_eq!(
        (&target["system"], &target["outcome"], &target["purposes"]),
        (&json!("shop-db"), &json!("live"), &json!(["ads"]))
    );
    assert!(target["until"].is_string() && !held.to_string().contains("u1@example.org"), "{held}");

    let asked = w.post("/v1/requests", json!({"type": "restrict", "subject": "customer_id:1"})).await;
    let path = asked.headers["location"].to_str().unwrap().to_owned();
    let mut view = asked.json();
    for _ in 0..400 {
        view = w.get(&path).await.json();
        if view["state"] != "in_progress" {
            break;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    assert_eq!(
        (&view["state"], &view["targets"][0]["outcome"]),
        (&json!("refused"), &json!("refused")),
        "{view}"
    );
    assert!(view["targets"][0]["detail"].as_str().unwrap().contains("cannot restrict"), "{view}");
    w.post(&format!("{path}/verify-identity"), json!({})).await.is_problem(409, "nothing-to-verify");
    let lifted = w.post(&format!("{path}/lift"), json!({"reason": "settled"})).await.json();
    assert!(lifted["lifted"].is_string() && lifted["state"] == "refused", "{lifted}");
    w.post(&format!("{path}/lift"), json!({})).await.is_problem(409, "nothing-to-lift");

    let body = json!({"type": "erase", "subject": "customer_id:1", "unverified": true});
    let asked = w.post("/v1/requests", body).await;
    assert_eq!((&asked.json()["state"], w.rows()), (&json!("identity_unverified"), 1));
    let path = asked.headers["location"].to_str().unwrap().to_owned();
    w.post(&format!("{path}/decide"), json!({"decision": "end"})).await.is_problem(409, "nothing-to-decide");
    let verified = w.post(&format!("{path}/verify-identity"), json!({"reason": "passport"})).await;
    assert_eq!(verified.status, 200, "{}", verified.text);
    for _ in 0..400 {
        if w.get(&path).await.json()["state"] == "fulfilled" {
            break;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    assert_eq!((&w.get(&path).await.json()["state"], w.rows()), (&json!("fulfilled"), 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_lay_in_a_system_is_counted_by_category_and_purpose() {
    let w = World::shop().await;
    w.customers(&[(1, 40, &["service"]), (2, 5, &["service", "ads"])]).await;
    let ago = |days: i64| {
        use quietus_core::time::Millis;
        w.node.clock.now().plus(-days * Millis::DAY).to_string()
    };
    let ask = async |system: &str, from: String, to: String| {
        w.post("/v1/exposures", json!({"system": system, "from": from, "to": to})).await
    };
    let then = ask("shop-db", ago(20), ago(10)).await.json();
    assert_eq!(
        (&then["subjects"], &then["items"], &then["undated"]),
        (&json!(1), &json!(1), &json!(0)),
        "{then}"
    );
    assert_eq!(w.sweep().await["erased"], 1);
    let now = ask("shop-db", ago(20), ago(-1)).await.json();
    assert_eq!(now["items"], 2, "what was erased lay there before: {now}");
    let row = |category: &str, purpose: &str, n: u64| json!({"category": category, "purpose": purpose, "subjects": n, "items": n});
    let by = now["by"].as_array().unwrap();
    assert!(by.contains(&row("user.contact.email", "service", 2)), "{now}");
    assert!(by.contains(&row("user.contact.email", "ads", 1)), "{now}");
    let later = ask("shop-db", ago(-2), ago(-3)).await.json();
    assert_eq!(later["items"], 1, "{later}");
    ask("shop", ago(2), ago(1)).await.is_problem(404, "not-found");
    ask("shop-db", ago(1), ago(2)).await.is_problem(422, "wrong-time");
    ask("shop-db", "then".into(), ago(2)).await.is_problem(422, "wrong-time");
}
