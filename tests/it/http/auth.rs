//! Who may call what.

use quietus::surface::http::{HttpConfig, Role, ServeError};
use sha2::{Digest, Sha256};

use super::*;

fn token(secret: &str, role: Role, expires: Option<i64>) -> Token {
    let expires = expires.map(quietus_core::time::Millis);
    Token { name: secret.to_owned(), role, sha256: Sha256::digest(secret).into(), expires }
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_carry_roles_and_expire() {
    let w = World::empty(vec![
        token("s3cret", Role::Admin, None),
        token("ci", Role::Producer, None),
        token("court", Role::Legal, None),
        token("old", Role::Admin, Some(1)),
    ])
    .await;
    let get = async |auth: Option<&str>, path: &str| {
        let headers: Vec<(&str, &str)> = auth.map(|a| ("authorization", a)).into_iter().collect();
        send(&w.router, request("GET", path, &headers, Body::empty())).await
    };
    get(None, "/v1/holds").await.is_problem(401, "unauthorized");
    get(Some("Bearer wrong"), "/v1/holds").await.is_problem(401, "unauthorized");
    get(Some("Basic s3cret"), "/v1/holds").await.is_problem(401, "unauthorized");
    get(Some("Bearer old"), "/v1/holds").await.is_problem(401, "unauthorized");
    get(Some("Bearer ci"), "/v1/holds").await.is_problem(403, "not-allowed");
    assert_eq!(get(Some("bearer s3cret"), "/v1/holds").await.status, 200);
    assert_eq!(get(Some("Bearer court"), "/v1/holds").await.status, 200);
    let legal = [("authorization", "Bearer court"), ("idempotency-key", "1")];
    w.post_with("/v1/sweeps", &legal, json!({})).await.is_problem(403, "not-allowed");
    for open in ["/healthz", "/readyz", "/openapi.json"] {
        assert_eq!(get(None, open).await.status, 200, "{open}");
    }
    get(None, "/metrics").await.is_problem(401, "unauthorized");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_tokens_only_this_machine_is_served() {
    let w = World::empty(vec![]).await;
    let get = async |headers: &[(&str, &str)]| {
        send(&w.router, request("GET", "/v1/holds", headers, Body::empty())).await
    };
    assert_eq!(get(&[("host", "127.0.0.1:7070")]).await.status, 200);
    assert_eq!(get(&[("host", "localhost:7070"), ("origin", "http://localhost:7070")]).await.status, 200);
    get(&[("host", "evil.example:7070")]).await.is_problem(403, "not-local");
    get(&[("host", "127.0.0.1:7070"), ("origin", "https://evil.example")]).await.is_problem(403, "not-local");
    let listen = "0.0.0.0:0".parse().unwrap();
    let refused = quietus::surface::http::bind(&HttpConfig { listen, tokens: vec![] }).await;
    assert!(matches!(refused, Err(ServeError::Open { .. })));
    let tokens = vec![token("s", Role::Admin, None)];
    assert!(quietus::surface::http::bind(&HttpConfig { listen, tokens }).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn it_serves_on_a_socket_and_ends_when_told() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let w = World::empty(vec![]).await;
    let config = HttpConfig { listen: "127.0.0.1:0".parse().unwrap(), tokens: vec![] };
    let listener = quietus::surface::http::bind(&config).await.unwrap();
    let at = listener.local_addr().unwrap();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let ending = async move {
        let _ = stopped.await;
    };
    let serving =
        tokio::spawn(quietus::surface::http::serve_on(listener, None, Arc::clone(&w.node), vec![], ending));
    let mut socket = tokio::net::TcpStream::connect(at).await.unwrap();
    socket.write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("{\"state\":\"ok\"}"), "{answer}");
    stop.send(()).unwrap();
    let ended = tokio::time::timeout(Duration::from_secs(10), serving).await.unwrap().unwrap();
    assert!(ended.is_ok(), "{ended:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shorter_locked_rule_takes_a_changed_law_and_a_second_person() {
    let w = World::empty(vec![token("ann", Role::Admin, None), token("ben", Role::Platform, None)]).await;
    let call = async |method: &str, path: &str, who: &str, tag: Option<&str>, body: &str| {
        let bearer = format!("Bearer {who}");
        let mut headers = vec![("authorization", bearer.as_str())];
        headers.extend(tag.map(|tag| ("if-match", tag)));
        send(&w.router, request(method, path, &headers, body.to_owned())).await
    };
    let at = "/v1/policies/shop";
    let (approve, publish) = (format!("{at}/approve"), format!("{at}/publish"));
    let locked = POLICY.replace(
        "holds:",
        "  - {id: books, category: user.financial, at_least: 10y after recorded, law: Old Act, locked: true}\nholds:",
    );
    assert_eq!(call("PUT", at, "ann", None, &locked).await.status, 201);
    call("POST", &approve, "ben", None, "").await.is_problem(409, "nothing-to-approve");
    assert_eq!(call("POST", &publish, "ann", None, "").await.status, 200);
    let shorter = locked.replace("10y", "8y");
    let stored = call("PUT", at, "ann", None, &shorter).await;
    assert_eq!(stored.status, 200, "{}", stored.text);
    call("POST", &publish, "ann", None, "").await.is_problem(409, "locked-rule");
    call("POST", &approve, "ben", None, "").await.is_problem(409, "law-unchanged");
    let lawful = shorter.replace("Old Act", "New Act");
    let stored = call("PUT", at, "ann", None, &lawful).await;
    call("POST", &publish, "ben", None, "").await.is_problem(409, "locked-rule");
    call("POST", &approve, "ann", None, "").await.is_problem(409, "second-person");
    call("POST", &approve, "ben", Some("\"other\""), "").await.is_problem(412, "changed-meanwhile");
    let tag = stored.headers["etag"].to_str().unwrap();
    let approved = call("POST", &approve, "ben", Some(tag), "").await;
    assert_eq!(approved.status, 200, "{}", approved.text);
    let answer = approved.json();
    assert_eq!((&answer["result"], &answer["version"]), (&json!("approved"), &json!(2)));
    let published = w
        .node
        .ledger()
        .scan(&[])
        .unwrap()
        .flat_map(|frame| quietus::ledger::codec::decode_frame(&frame.unwrap().body).unwrap().records);
    let persons: Vec<_> = published
        .filter_map(|record| match record {
            quietus_core::record::Record::PolicyPublished(p) => Some((p.by, p.approved_by)),
            _ => None,
        })
        .collect();
    assert!(persons.contains(&(Some("ann".to_owned()), Some("ben".to_owned()))), "{persons:?}");

    let nobody = World::empty(vec![]).await;
    for document in [&locked, &lawful] {
        assert!(nobody.put(at, document).await.status.is_success());
        nobody.post(&publish, json!({})).await;
    }
    nobody.post(&approve, json!({})).await.is_problem(409, "persons-unknown");
}
