//! Policies and systems.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_is_stored_planned_and_published() {
    let w = World::shop().await;
    w.customers(&[(1, 20, &["service"]), (2, 5, &["service"])]).await;
    assert_eq!(w.put("/v1/policies/shop", POLICY).await.json()["result"], "unchanged");
    let shorter = POLICY.replace("30d after recorded", "10d after recorded");
    assert_eq!(w.put("/v1/policies/shop", &shorter).await.json()["result"], "changed");
    let plan = w.post("/v1/policies/shop/plan", json!({})).await.json();
    assert_eq!(
        (&plan["due_now"], &plan["due_then"], &plan["earlier"]),
        (&json!(0), &json!(1), &json!(2)),
        "{plan}"
    );
    let rules = json!([
        {"rule": "ads", "change": "same", "due_now": 0, "due_then": 0,
         "earlier": 0, "later": 0, "newly": 0, "no_longer": 0},
        {"rule": "contacts", "change": "changed", "due_now": 0, "due_then": 1,
         "earlier": 2, "later": 0, "newly": 1, "no_longer": 0},
    ]);
    assert_eq!(plan["by_rule"], rules);
    let published = w.post("/v1/policies/shop/publish", json!({})).await.json();
    assert_eq!((&published["result"], &published["version"]), (&json!("published"), &json!(2)));
    let other = POLICY.replace("policy: shop", "policy: other");
    assert_eq!(w.put("/v1/policies/other", &other).await.status, 201);
    w.post("/v1/policies/other/publish", json!({})).await.is_problem(409, "other-policy");
    let listed = w.get("/v1/policies").await.json();
    let active: Vec<bool> = listed["items"].as_array().unwrap().iter().map(|p| p["active"] == true).collect();
    assert_eq!(active, [false, true]);
    w.get("/v1/policies/none").await.is_problem(404, "not-found");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_policy_is_answered_with_line_column_and_remedy() {
    let w = World::empty(vec![]).await;
    let wrong =
        POLICY.replace("[user.contact, user.unique_id], purpose: service", "user.kontact, purpose: service");
    let problem = w.put("/v1/policies/shop", &wrong).await.is_problem(422, "wrong-document");
    let error = &problem["errors"][0];
    assert_eq!((&error["file"], &error["line"]), (&json!("shop"), &json!(9)), "{problem}");
    assert!(error["column"].as_u64().unwrap() > 1 && error["detail"].is_string(), "{problem}");
    w.put("/v1/policies/else", POLICY).await.is_problem(422, "other-name");
    assert_eq!(w.get("/v1/policies").await.json(), json!({"items": [], "next": null}));
}

#[tokio::test(flavor = "multi_thread")]
async fn if_match_guards_what_somebody_else_changed() {
    let w = World::shop().await;
    let tag = w.get("/v1/policies/shop").await.headers["etag"].to_str().unwrap().to_owned();
    let with = async |tag: &str, body: &str| {
        send(&w.router, request("PUT", "/v1/policies/shop", &[("if-match", tag)], body.to_owned())).await
    };
    let changed = POLICY.replace("30d", "31d");
    let answer = with(&tag, &changed).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    with(&tag, POLICY).await.is_problem(412, "changed-meanwhile");
    assert_eq!(with(answer.headers["etag"].to_str().unwrap(), POLICY).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_system_is_registered_checked_switched_and_retired() {
    let w = World::empty(vec![]).await;
    let put = w.put("/v1/systems/shop-db", &w.manifest("observe")).await;
    assert_eq!((put.status.as_u16(), &put.json()["mode"]), (201, &json!("observe")), "{}", put.text);
    assert_eq!(w.put("/v1/systems/shop-db", &w.manifest("observe")).await.json()["result"], "unchanged");
    w.put("/v1/systems/other", &w.manifest("observe")).await.is_problem(422, "other-name");
    let check = w.post("/v1/systems/shop-db/check", json!({})).await.json();
    assert_eq!(check["ok"], true, "{check}");
    assert_eq!(w.post("/v1/systems/shop-db/enforce", json!({})).await.json()["mode"], "enforce");
    // An absent mode keeps the present one.
    let silent = w.manifest("observe").replace("\"mode\":\"observe\",", "");
    assert_eq!(w.put("/v1/systems/shop-db", &silent).await.json()["mode"], "enforce");
    assert_eq!(w.post("/v1/systems/shop-db/observe", json!({})).await.json()["result"], "changed");
    let view = w.get("/v1/systems/shop-db").await.json();
    assert_eq!(
        (&view["kind"], &view["connected"], &view["open"]),
        (&json!("sqlite"), &json!(true), &json!(0))
    );
    let gone = send(&w.router, request("DELETE", "/v1/systems/shop-db", &[], Body::empty())).await;
    assert_eq!((gone.status.as_u16(), gone.text.as_str()), (204, ""));
    w.get("/v1/systems/shop-db").await.is_problem(404, "not-found");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_system_with_open_duties_is_not_retired() {
    let w = World::shop().await;
    w.post("/v1/systems/shop-db/observe", json!({})).await;
    w.customers(&[(1, 40, &["service"])]).await;
    let report = w.sweep().await;
    assert_eq!((&report["observed"], w.rows()), (&json!(1), 1), "{report}");
    let refused = send(&w.router, request("DELETE", "/v1/systems/shop-db", &[], Body::empty())).await;
    refused.is_problem(409, "system-open");
}
