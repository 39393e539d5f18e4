//! What a restart must not forget: which call made what, and which sweep waits for whom.

use super::*;

impl World {
    /// Stops the node in order and opens it again; nothing in memory survives.
    async fn restarted(self) -> Self {
        let Self { node, router: served, running, db, dir } = self;
        running.unwrap().stop().await.unwrap();
        drop(served);
        // The folder is locked until the last task has let go of it.
        while Arc::strong_count(&node) > 1 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        drop(node);
        let (node, running) = open(dir.path()).await;
        let router = router(App::new(Arc::clone(&node), vec![]));
        Self { node, router, running: Some(running), db, dir }
    }

    async fn known(&self, path: &str) -> usize {
        self.get(path).await.json()["items"].as_array().unwrap().len()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_call_after_a_restart_is_answered_with_what_it_made() {
    let mut w = World::shop().await;
    w.customers(&[(1, 2, &["ads"]), (2, 2, &["ads"])]).await;
    let hold = json!({"matter": "m", "authority": "court", "owner": "legal", "reason": "suit",
        "review": "2099-01-01", "scope": {"subjects": ["customer_id:2"]}});
    let other_hold = json!({"matter": "n", "authority": "court", "owner": "legal", "reason": "suit",
        "review": "2099-01-01", "scope": {"subjects": ["customer_id:2"]}});
    let calls = [
        (
            "/v1/requests",
            json!({"type": "erase", "subject": "customer_id:1"}),
            json!({"type": "erase", "subject": "customer_id:2"}),
        ),
        ("/v1/holds", hold, other_hold),
        ("/v1/sweeps", json!({}), json!({"plan": false})),
    ];
    let mut made = Vec::new();
    for (path, body, _) in &calls {
        let answer = w.post_with(path, &[("idempotency-key", "mine")], body.clone()).await;
        assert!(answer.status.is_success(), "{}", answer.text);
        made.push(answer.json()["id"].clone());
    }
    w = w.restarted().await;
    for ((path, body, other), id) in calls.iter().zip(&made) {
        let again = w.post_with(path, &[("idempotency-key", "mine")], body.clone()).await;
        assert!(again.status.is_success(), "{}", again.text);
        assert_eq!(again.json()["id"], *id, "{path}");
        w = w.restarted().await;
        let reused = w.post_with(path, &[("idempotency-key", "mine")], other.clone()).await;
        reused.is_problem(422, "idempotency-key-reused");
        assert_eq!(w.known(path).await, 1, "{path}");
    }
    let fresh = w.post_with("/v1/sweeps", &[("idempotency-key", "another")], json!({})).await;
    assert_ne!(fresh.json()["id"], made[2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sweep_that_waits_for_a_second_person_waits_over_a_restart() {
    let mut w = World::shop().await;
    let braked = format!("{POLICY}sweep: {{brake: {{times_forecast: 2, at_least_items: 3}}}}\n");
    assert!(w.put("/v1/policies/shop", &braked).await.status.is_success());
    assert!(w.post("/v1/policies/shop/publish", json!({})).await.status.is_success());
    w.customers(&[(1, 40, &["service"])]).await;
    assert_eq!(w.sweep().await["erased"], 1);
    let many: Vec<(i64, i64, &[&str])> = (2..8).map(|id| (id, 40, &["service"] as &[&str])).collect();
    w.customers(&many).await;
    let braked = w.sweep().await;
    assert_eq!(
        (&braked["state"], &braked["in_flight"]),
        (&json!("awaiting_approval"), &json!(6)),
        "{braked}"
    );
    let path = format!("/v1/sweeps/{}", braked["id"].as_str().unwrap());
    w = w.restarted().await;
    assert_eq!(w.get(&path).await.json()["state"], "awaiting_approval");
    assert_eq!(w.rows(), 6, "nothing goes without approval");
    let approved = w.post(&format!("{path}/approve"), json!({})).await;
    assert_eq!(approved.status, 202, "{}", approved.text);
    for _ in 0..800 {
        if w.get(&path).await.json()["state"] == "finished" {
            break;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    let ended = w.get(&path).await.json();
    assert_eq!(
        (&ended["state"], &ended["verified"], w.rows()),
        (&json!("finished"), &json!(6), 0),
        "{ended}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approval_is_void_when_what_is_due_has_changed() {
    let w = World::shop().await;
    let braked = format!("{POLICY}sweep: {{brake: {{times_forecast: 2, at_least_items: 3}}}}\n");
    assert!(w.put("/v1/policies/shop", &braked).await.status.is_success());
    assert!(w.post("/v1/policies/shop/publish", json!({})).await.status.is_success());
    w.customers(&[(1, 40, &["service"])]).await;
    w.sweep().await;
    let many: Vec<(i64, i64, &[&str])> = (2..8).map(|id| (id, 40, &["service"] as &[&str])).collect();
    w.customers(&many).await;
    let id = w.sweep().await["id"].as_str().unwrap().to_owned();
    w.customers(&[(9, 40, &["service"])]).await;
    w.post(&format!("/v1/sweeps/{id}/approve"), json!({})).await.is_problem(409, "plan-changed");
    assert_eq!(w.get(&format!("/v1/sweeps/{id}")).await.json()["state"], "stopped");
    assert_eq!(w.rows(), 7);
}
