//! `POST /v1/events`: what is taken, what is not, and why.

use super::*;

const BATCH: (&str, &str) = ("content-type", "application/cloudevents-batch+json");

#[tokio::test(flavor = "multi_thread")]
async fn structured_binary_and_batch_say_the_same() {
    let w = World::shop().await;
    let event = recorded(1, 1, &["service"], &w.node);
    let structured = [("content-type", "application/cloudevents+json")];
    let answer = send(&w.router, request("POST", "/v1/events", &structured, event.to_string())).await;
    assert_eq!((answer.status.as_u16(), answer.json()), (202, json!({"accepted": 1, "rejected": []})));
    let binary = [
        ("content-type", "application/json"),
        ("ce-specversion", "1.0"),
        ("ce-id", "e2"),
        ("ce-source", "/shop"),
        ("ce-type", "quietus.item.recorded.v1"),
    ];
    let data = recorded(2, 1, &["service"], &w.node)["data"].to_string();
    let answer = send(&w.router, request("POST", "/v1/events", &binary, data)).await;
    assert_eq!(answer.status, 202, "{}", answer.text);
    assert_eq!(w.events(&[event, recorded(3, 1, &["service"], &w.node)]).await.json()["accepted"], 2);
    w.caught_up().await;
    let items: u64 = w.node.partitions.iter().map(|p| p.read().state.alive.items).sum();
    assert_eq!(items, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_bad_event_does_not_take_the_others_with_it() {
    let w = World::shop().await;
    let mut bad = recorded(2, 1, &["service"], &w.node);
    bad["data"]["subject"] = json!("Ann Example <ann@example.org>:x");
    let answer = w.events(&[recorded(1, 1, &["service"], &w.node), bad.clone()]).await;
    assert_eq!(answer.status, 202);
    let told = answer.json();
    assert_eq!(
        (&told["accepted"], &told["rejected"][0]["index"], &told["rejected"][0]["id"]),
        (&json!(1), &json!(1), &json!("e2")),
        "{told}"
    );
    assert!(!answer.text.contains("ann@example.org") && !answer.text.contains("Ann"), "{}", answer.text);
    let answer = w.events(&[bad]).await;
    assert_eq!((answer.status.as_u16(), &answer.json()["accepted"]), (422, &json!(0)));
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_are_answered_as_problems() {
    let w = World::empty(vec![]).await;
    let post = async |headers: &[(&str, &str)], body: Vec<u8>| {
        send(&w.router, request("POST", "/v1/events", headers, body)).await
    };
    post(&[BATCH], vec![b' '; (16 << 20) + 1]).await.is_problem(413, "too-large");
    let declared = [BATCH, ("content-length", "99999999")];
    post(&declared, b"[]".to_vec()).await.is_problem(413, "too-large");
    post(&[BATCH], format!("[{}]", vec!["{}"; 10_001].join(",")).into_bytes())
        .await
        .is_problem(413, "too-large");
    let one = [("content-type", "application/cloudevents+json")];
    post(&one, format!("{{\"a\": \"{}\"}}", "x".repeat(1 << 20)).into_bytes())
        .await
        .is_problem(413, "too-large");
    post(&[BATCH], b"[{]".to_vec()).await.is_problem(400, "not-json");
    post(&[BATCH], b"{}".to_vec()).await.is_problem(400, "no-batch");
    post(&[("content-type", "text/plain")], b"x".to_vec()).await.is_problem(415, "media-type");
    let lost = w.get("/v1/nothing").await;
    lost.is_problem(404, "no-such-call");
    w.get("/v1/events").await.is_problem(405, "wrong-method");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_producers_trace_reaches_the_ledger() {
    let w = World::empty(vec![]).await;
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let body = serde_json::to_vec(&[recorded(1, 1, &["service"], &w.node)]).unwrap();
    let answer = send(&w.router, request("POST", "/v1/events", &[BATCH, ("traceparent", trace)], body)).await;
    assert_eq!(answer.status, 202);
    let frames = w.node.ledger().scan(&[]).unwrap().map(|f| f.unwrap().body).take(200);
    let traces: Vec<Option<String>> =
        frames.map(|b| quietus::ledger::codec::decode_frame(&b).unwrap().trace).collect();
    assert!(traces.iter().flatten().any(|t| t.contains("0af7651916cd43dd8448eb211c80319c")), "{traces:?}");
}
