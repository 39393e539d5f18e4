//! The same POST twice.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_repeat_is_answered_the_same_and_done_once() {
    let w = World::shop().await;
    for path in ["/v1/sweeps", "/v1/holds", "/v1/requests"] {
        let problem = w.post_with(path, &[], json!({})).await.is_problem(400, "idempotency-key-missing");
        assert!(problem["detail"].as_str().unwrap().contains("Idempotency-Key"));
    }
    let key = [("idempotency-key", "one")];
    let first = w.post_with("/v1/sweeps", &key, json!({})).await;
    let again = w.post_with("/v1/sweeps", &key, json!({})).await;
    assert_eq!((first.status.as_u16(), &first.text), (202, &again.text));
    assert_eq!((first.status, &first.headers["location"]), (again.status, &again.headers["location"]));
    w.post_with("/v1/sweeps", &key, json!({"plan": true})).await.is_problem(422, "idempotency-key-reused");
    assert_eq!(w.get("/v1/sweeps").await.json()["items"].as_array().unwrap().len(), 1);
    // Another call may use the same key.
    assert_eq!(w.post_with("/v1/sweeps/stop", &key, json!({})).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_at_once_are_one() {
    let w = World::shop().await;
    let key = [("idempotency-key", "both")];
    let calls = (0..6).map(|_| w.post_with("/v1/sweeps", &key, json!({})));
    let answers = futures_util::future::join_all(calls).await;
    let ids: std::collections::BTreeSet<String> =
        answers.iter().filter(|a| a.status == 202).map(|a| a.json()["id"].to_string()).collect();
    assert_eq!(ids.len(), 1);
    for answer in answers.iter().filter(|a| a.status != 202) {
        answer.is_problem(409, "idempotency-key-running");
    }
    assert_eq!(w.get("/v1/sweeps").await.json()["items"].as_array().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_goes_on_when_its_client_hangs_up() {
    let w = World::shop().await;
    let headers = [("idempotency-key", "gone"), ("content-type", "application/json")];
    let call = w.router.clone().oneshot(request("POST", "/v1/sweeps", &headers, "{}"));
    // Polled once, then dropped.
    let _ = tokio::time::timeout(Duration::from_micros(1), call).await;
    for _ in 0..200 {
        let again = w.post_with("/v1/sweeps", &[("idempotency-key", "gone")], json!({})).await;
        if again.status == 202 {
            assert_eq!(w.get("/v1/sweeps").await.json()["items"].as_array().unwrap().len(), 1);
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the key stays in use");
}
