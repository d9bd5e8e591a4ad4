//! A service that has not what it needs.

use std::process::Command;

use futures_util::future::join_all;
use reqwest::RequestBuilder;
use serde_json::{Value, json};

use crate::app::{App, new_order};

#[tokio::test]
async fn without_its_database_it_is_alive_but_not_ready() {
    let app = App::start_without_database().await;

    assert_eq!(app.get("/healthz").await.0, 200);
    let (status, ready) = app.get("/readyz").await;
    assert_eq!(
        (status, &ready["details"]["database"]),
        (503, &"is away".into())
    );

    let show = app.url("/orders/0190e6a0-7b1e-7000-8000-000000000001");
    let requests = [
        app.http.post(app.url("/orders")).json(&new_order()),
        app.http.get(app.url("/orders")),
        app.http.get(show),
    ];
    for answer in join_all(requests.map(RequestBuilder::send)).await {
        let answer = answer.unwrap();
        assert_eq!(answer.status(), 503, "{answer:?}");
        assert_eq!(answer.headers()["retry-after"], "1", "{answer:?}");
        let body: Value = answer.json().await.unwrap();
        assert_eq!(body, json!({"error": "not available at the moment"}));
    }
    assert!(app.spans.named("send order.created").is_empty());
}

#[test]
fn what_is_missing_is_named_together() {
    let output = Command::new(env!("CARGO_BIN_EXE_orders"))
        .env_clear()
        .env("KAFKA_BROKERS", "")
        .output()
        .unwrap();

    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    for name in ["--port", "--postgres-url", "--kafka-brokers"] {
        assert!(said.contains(name), "{said}");
    }
}
