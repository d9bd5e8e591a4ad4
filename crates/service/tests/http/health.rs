//! `/healthz` and `/readyz`.

use std::{
    future::pending,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::Router;
use serde_json::json;
use service::{Always, Readiness, Report};
use telemetry::sql::{Database, PoolOptions};

use crate::support::{Server, answer};

#[derive(Clone)]
struct Switch(Arc<AtomicBool>);

impl Readiness for Switch {
    async fn check(&self) -> Report {
        let ready = self.0.load(Ordering::Relaxed);
        Report {
            ready,
            details: json!({ "switch": if ready { "on" } else { "off" } }),
        }
    }
}

#[derive(Clone)]
struct Hanging;

impl Readiness for Hanging {
    async fn check(&self) -> Report {
        pending().await
    }
}

#[tokio::test]
async fn ready_is_asked_each_time() {
    let on = Arc::new(AtomicBool::new(false));
    let app = service::app(Router::new(), Switch(on.clone()));
    let server = Server::start(app).await;
    for (ready, status, switch) in [(false, 503, "off"), (true, 200, "on"), (false, 503, "off")] {
        on.store(ready, Ordering::Relaxed);
        let answered = answer(server.get("/readyz")).await;
        assert_eq!(answered.status, status);
        let report = json!({ "ready": ready, "details": { "switch": switch } });
        assert_eq!(answered.body, report);

        let alive = answer(server.get("/healthz")).await;
        assert_eq!((alive.status, alive.body), (200, json!({ "alive": true })));
    }
}

#[tokio::test]
async fn who_needs_nobody_is_ready() {
    let server = Server::start(service::app(Router::new(), Always)).await;
    let answered = answer(server.get("/readyz")).await;
    assert_eq!(
        (answered.status, &answered.body["ready"]),
        (200, &json!(true))
    );
}

#[tokio::test]
async fn a_check_that_hangs_is_a_no() {
    let server = Server::start(service::app(Router::new(), Hanging)).await;
    let answered = answer(server.get("/readyz")).await;
    let report = json!({ "ready": false, "details": "no answer in time" });
    assert_eq!((answered.status, answered.body), (503, report));
}

/// The other half, a database that answers, is in the tests of the services that have one.
#[tokio::test]
async fn a_database_that_is_away_is_a_no() {
    let database = Database::connect(&PoolOptions {
        url: "postgres://user:secret@127.0.0.1:1/database".to_owned(),
        schema: "test",
        application_name: "test",
        max_connections: 1,
        acquire_timeout: Duration::from_millis(50),
        statement_timeout: Duration::from_secs(1),
    });
    let server = Server::start(service::app(Router::new(), database.unwrap())).await;
    let answered = answer(server.get("/readyz")).await;
    let report = json!({ "ready": false, "details": { "database": "is away" } });
    assert_eq!((answered.status, answered.body), (503, report));
}
