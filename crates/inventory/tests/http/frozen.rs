//! A database that keeps its connections open and does not answer, as after SIGSTOP or behind a dead network.

use std::{collections::HashSet, future::Future, time::Duration};

use futures_util::future::join_all;
use orderflow::testing::{Program, Proxy};
use serde_json::json;

use crate::app::{App, new_order};

/// The most that Docker and others leave between SIGTERM and SIGKILL.
const STOP: Duration = Duration::from_secs(10);

/// Fails instead of waiting for ever.
async fn soon<T>(what: impl Future<Output = T>) -> T {
    let waited = tokio::time::timeout(Duration::from_secs(60), what).await;
    waited.expect("it never happens")
}

#[tokio::test]
async fn requests_end_with_503_and_their_connections_are_closed() {
    let (app, proxy) = App::behind_proxy().await;
    // Both connections of the pool are made, and idle.
    join_all((0..8).map(|_| app.get("/stock"))).await;
    let before = backends(&app).await;
    assert_eq!(before.len(), 2);

    proxy.freeze();
    let answers = soon(join_all((0..4).map(|_| app.get("/stock")))).await;
    let unavailable = json!({"error": "not available at the moment"});
    assert_eq!(answers, vec![(503, unavailable); 4]);
    proxy.thaw();

    let answers = soon(join_all((0..8).map(|_| app.get("/stock")))).await;
    assert!(
        answers.iter().all(|(status, _)| *status == 200),
        "{answers:?}"
    );
    let closed = async {
        while !backends(&app).await.is_disjoint(&before) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    soon(closed).await;
}

/// The process ids of the servers that the service is connected to.
async fn backends(app: &App) -> HashSet<i32> {
    let text = "SELECT pid FROM pg_stat_activity
                WHERE datname = current_database() AND application_name = 'inventory'";
    let pids: Vec<i32> = sqlx::query_scalar(text)
        .fetch_all(app.owner())
        .await
        .unwrap();
    pids.into_iter().collect()
}

/// PostgreSQL gets the COMMIT and carries it out; only its answer is lost.
#[tokio::test]
async fn a_commit_without_an_answer_is_unknown() {
    let (app, proxy) = App::behind_proxy().await;
    let order = new_order();
    proxy.freeze_at("COMMIT");

    let (status, body) = soon(app.reserve("ITEM-010", &order, 7)).await;
    assert_eq!(
        (status, &body["code"]),
        (503, &json!("outcome_unknown")),
        "{body}"
    );

    // Repeated, it is done once.
    proxy.thaw();
    assert_eq!(soon(app.reserve("ITEM-010", &order, 7)).await.0, 200);
    assert_eq!(app.levels("ITEM-010").await, (18, 7));
}

#[tokio::test]
async fn liveness_needs_no_database_and_readiness_says_so_in_time() {
    let (app, proxy) = App::behind_proxy().await;
    assert_eq!(app.get("/readyz").await.0, 200);
    proxy.freeze();
    assert_eq!(soon(app.get("/healthz")).await.0, 200);
    assert_eq!(soon(app.get("/readyz")).await.0, 503);
    proxy.thaw();
    soon(async { while app.get("/readyz").await.0 != 200 {} }).await;
}

#[tokio::test]
async fn the_service_ends_within_ten_seconds_of_sigterm() {
    let database = orderflow::testing::database().await;
    let proxy = Proxy::before(database.socket()).await.unwrap();
    let url = database.url_through(&proxy, "inventory");
    let program = env!("CARGO_BIN_EXE_inventory");
    let mut program = Program::start(program, &[("POSTGRES_URL", &url)])
        .await
        .unwrap();
    let stock = format!("http://{}/stock", program.address());
    assert_eq!(reqwest::get(&stock).await.unwrap().status(), 200);

    proxy.freeze();
    let waiting = tokio::spawn(reqwest::get(stock));
    soon(proxy.until_unanswered()).await;
    let ended = program.terminate(STOP).await.unwrap();
    assert!(ended.expect("it goes on").success());
    // The request in flight was answered before.
    assert_eq!(waiting.await.unwrap().unwrap().status(), 503);
}
