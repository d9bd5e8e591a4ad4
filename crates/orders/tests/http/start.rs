//! How the service begins and ends, also where something is missing.

use std::{
    process::Command,
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use reqwest::RequestBuilder;
use serde_json::{Value, json};

use crate::{
    app::{App, new_order},
    program::Program,
};

/// The promise for the time from SIGTERM to the end.
const IN_TIME: Duration = Duration::from_secs(10);

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

#[test]
fn the_lifetime_of_a_key_is_bounded() {
    for hours in ["0", "8761", "99999999", "4294967295"] {
        let output = Command::new(env!("CARGO_BIN_EXE_orders"))
            .env_clear()
            .env("PORT", "0")
            .env("POSTGRES_URL", "postgres://orders@127.0.0.1:1/orderflow")
            .env("KAFKA_BROKERS", "127.0.0.1:1")
            .env("IDEMPOTENCY_KEY_HOURS", hours)
            // An accepted value must not make the program run for ever.
            .env("HOST", "192.0.2.1")
            .output()
            .unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{hours}: {said}");
        assert!(said.contains("--idempotency-key-hours"), "{hours}: {said}");
    }
}

/// No event could ever be sent, so the program must not take orders either.
#[test]
fn it_ends_with_an_error_when_it_cannot_publish() {
    let mut program = Program::start(&[
        ("POSTGRES_URL", "postgres://orders@127.0.0.1:1/orderflow"),
        ("KAFKA_BROKERS", "127.0.0.1:1"),
        ("KAFKA_SETTINGS", "linger.ms=never"),
    ]);
    let status = program.ended();
    assert_eq!(status.code(), Some(1), "{}", program.log);
    assert!(program.log.contains("linger.ms"), "{}", program.log);
}

/// With a broker that is not reachable: the event stays in the outbox.
#[tokio::test]
async fn the_program_takes_orders_and_ends_when_asked() {
    let database = orderflow::testing::database().await;
    let mut program = Program::start(&[
        ("POSTGRES_URL", &database.url("orders")),
        ("KAFKA_BROKERS", "127.0.0.1:1"),
    ]);
    let address = program.address();

    let post = reqwest::Client::new().post(format!("http://{address}/orders"));
    let answer = post.json(&new_order()).send().await.unwrap();
    assert_eq!(answer.status(), 201);

    program.logged("this process relays the outbox");
    let asked = Instant::now();
    program.terminate();
    let status = program.ended();
    assert!(asked.elapsed() < IN_TIME, "{}", program.log);
    assert_eq!(status.code(), Some(0), "{}", program.log);
    let stays = "1 messages stay in the outbox";
    assert!(program.log.contains(stays), "{}", program.log);
    let rows = sqlx::query_scalar("SELECT count(*) FROM orders.outbox");
    let owner = sqlx::PgPool::connect(&database.admin_url()).await.unwrap();
    let rows: i64 = rows.fetch_one(&owner).await.unwrap();
    assert_eq!(rows, 1);
}
