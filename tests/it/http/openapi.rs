//! The committed OpenAPI document is what the node serves, and every call in it exists.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn the_committed_document_is_the_served_one() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/schemas/openapi.json");
    let served = quietus::surface::http::openapi_document();
    if std::env::var_os("QUIETUS_UPDATE").is_some() {
        std::fs::write(path, &served).unwrap();
    }
    let committed = std::fs::read_to_string(path).unwrap_or_default();
    assert!(committed == served, "schemas/openapi.json is out of date: run this test with QUIETUS_UPDATE=1");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_documented_call_exists_and_the_rest_does_not() {
    let w = World::empty(vec![]).await;
    let document = w.get("/openapi.json").await.json();
    let paths = document["paths"].as_object().unwrap();
    assert!(paths.len() > 25);
    for (path, methods) in paths {
        for method in ["get", "put", "post", "delete"] {
            let real = path.replace("{name}", "x").replace("{id}", "it_x");
            let answer = send(&w.router, request(&method.to_uppercase(), &real, &[], "?")).await;
            let known = answer.status != 405 && !answer.text.contains("no-such-call");
            assert_eq!(
                methods.get(method).is_some(),
                known,
                "{method} {path}: {} {}",
                answer.status,
                answer.text
            );
        }
    }
}
