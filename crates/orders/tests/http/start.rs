//! How the service begins and ends, also where something is missing.

use std::{
    io::{BufRead, BufReader, Read},
    process::{Child, Command, Stdio},
};

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

/// The program itself, with a broker that is away: it takes orders, and ends when it is asked to, with a
/// word on the event that it could not get rid of. The event stays in the outbox.
#[tokio::test]
async fn the_program_takes_orders_and_ends_when_asked() {
    let database = orderflow::testing::database().await;
    let mut program = Program(
        Command::new(env!("CARGO_BIN_EXE_orders"))
            .env_clear()
            .env("PORT", "0")
            .env("POSTGRES_URL", database.url("orders"))
            .env("KAFKA_BROKERS", "127.0.0.1:1")
            .env("OTEL_TRACES_EXPORTER", "none")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap(),
    );
    let mut log = BufReader::new(program.0.stdout.take().unwrap());
    let address = listening(&mut log);

    let post = reqwest::Client::new().post(format!("http://{address}/orders"));
    let answer = post.json(&new_order()).send().await.unwrap();
    assert_eq!(answer.status(), 201);

    let id = program.0.id().to_string();
    let asked = Command::new("kill").args(["-TERM", &id]).status().unwrap();
    assert!(asked.success());
    let mut rest = String::new();
    log.read_to_string(&mut rest).unwrap();
    assert_eq!(program.0.wait().unwrap().code(), Some(0), "{rest}");
    assert!(rest.contains("1 messages stay in the outbox"), "{rest}");
    let rows = sqlx::query_scalar("SELECT count(*) FROM orders.outbox");
    let owner = sqlx::PgPool::connect(&database.admin_url()).await.unwrap();
    let rows: i64 = rows.fetch_one(&owner).await.unwrap();
    assert_eq!(rows, 1);
}

/// A child that does not outlive a test that fails.
struct Program(Child);

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The address that the log names.
fn listening(log: &mut impl BufRead) -> String {
    for line in log.lines() {
        let line: Value = serde_json::from_str(&line.unwrap()).unwrap();
        if line["message"] == "listening" {
            return line["fields"]["address"].as_str().unwrap().to_owned();
        }
    }
    panic!("it never listened");
}
