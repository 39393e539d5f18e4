//! What was, and what is no longer: policies by version, verdicts as of a time, items that are gone, plans row by row.

use quietus::core::time::Millis;

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_verdict_as_of_a_time_is_by_what_was_known_then() {
    let w = World::shop().await;
    w.customers(&[(1, 40, &["service"])]).await;
    let place = json!({"system": "shop-db", "dataset": "shop.users", "locator": {"id": 1}});
    let explain = async |at: Option<Millis>| {
        let mut body = place.clone();
        if let Some(at) = at {
            body["at"] = json!(at.to_string());
        }
        w.post("/v1/explain", body).await
    };
    let now = explain(None).await.json();
    assert_eq!((&now["state"], &now["copies"][0]["outcome"]), (&json!("live"), &json!("live")), "{now}");
    let before = w.node.clock.now();
    // A tick of its own, so that what follows is later.
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    let longer = POLICY.replace("keep: 30d", "keep: 60d");
    assert!(w.put("/v1/policies/shop", &longer).await.status.is_success());
    assert_eq!(w.post("/v1/policies/shop/publish", json!({})).await.json()["version"], 2);
    let renewed = explain(None).await.json();
    assert_ne!(renewed["due"], now["due"]);
    assert_eq!(explain(Some(before)).await.json()["due"], now["due"], "the policy of then");

    assert!(w.put("/v1/policies/shop", POLICY).await.status.is_success());
    w.post("/v1/policies/shop/publish", json!({})).await;
    assert_eq!(w.sweep().await["verified"], 1);
    let gone = explain(None).await.json();
    assert_eq!(
        (&gone["state"], &gone["copies"][0]["outcome"]),
        (&json!("gone"), &json!("verified")),
        "{gone}"
    );
    let parts: Vec<&Value> =
        gone["copies"][0]["parts"].as_array().unwrap().iter().map(|p| &p["category"]).collect();
    assert!(parts.contains(&&json!("user.contact.email")), "{gone}");
    let then = explain(Some(before)).await.json();
    assert_eq!((&then["state"], &then["copies"][0]["outcome"]), (&json!("live"), &json!("live")), "{then}");
    let before_all = explain(Some(Millis(before.0 - 365 * Millis::DAY))).await;
    before_all.is_problem(409, "no-policy");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_published_version_is_kept() {
    let w = World::shop().await;
    let longer = POLICY.replace("keep: 30d", "keep: 60d");
    assert!(w.put("/v1/policies/shop", &longer).await.status.is_success());
    w.post("/v1/policies/shop/publish", json!({})).await;
    let first = w.get("/v1/policies/shop?version=1").await.json();
    assert_eq!((&first["document"], &first["active"]), (&json!(POLICY), &json!(false)));
    let second = w.get("/v1/policies/shop?version=2").await.json();
    assert_eq!((&second["document"], &second["active"]), (&json!(longer), &json!(true)));
    w.get("/v1/policies/shop?version=3").await.is_problem(404, "not-found");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_tells_its_rows() {
    let w = World::shop().await;
    w.customers(&[(1, 40, &["service"]), (2, 3, &["service"]), (3, 50, &["service"])]).await;
    let plan = w.post("/v1/sweeps", json!({"plan": true, "rows": true})).await.json();
    let rows = plan["rows"].as_array().unwrap();
    assert_eq!((rows.len(), &plan["due"]), (2, &json!(2)), "{plan}");
    for row in rows {
        assert_eq!(
            (&row["system"], &row["rule"], &row["outcome"]),
            (&json!("shop-db"), &json!("contacts"), &json!("owed"))
        );
        assert!(
            row["item"].as_str().unwrap().starts_with("it_")
                && Millis::parse(row["due"].as_str().unwrap()).is_some()
        );
    }
    assert!(w.post("/v1/sweeps", json!({"plan": true})).await.json().get("rows").is_none());
}
