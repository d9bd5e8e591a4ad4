//! What a service takes at most, and which of its requests are made to fail.

use std::time::Duration;

use axum::{Router, extract::ConnectInfo, routing::get};
use service::{Always, Faults, Json, Limits};
use std::{future::pending, net::SocketAddr};

use crate::support::{Entered, Gate, Server, answer, gated, soon};

#[tokio::test]
async fn what_takes_too_long_is_unavailable() {
    let limits = Limits {
        deadline: Duration::from_millis(20),
        ..Limits::default()
    };
    let routes = Router::new().route("/", get(pending::<()>));
    let server = Server::start(service::app_with_limits(routes, Always, limits)).await;
    let answer = answer(server.get("/")).await;
    assert_eq!(answer.status, 503);
    assert_eq!(answer.error(), "this took too long");
    assert_eq!(answer.header("retry-after"), Some("1"));
}

async fn start(limits: Limits) -> (Server, Gate, Entered) {
    let (routes, gate, entered) = gated();
    let app = service::app_with_limits(routes, Always, limits);
    (Server::start(app).await, gate, entered)
}

const ONE: Limits = Limits {
    body: 1_000,
    deadline: Duration::from_secs(3_600),
    in_flight: 1,
};

#[tokio::test]
async fn one_request_too_many_is_turned_away_and_health_is_not() {
    let (server, gate, mut entered) = start(ONE).await;
    let first = tokio::spawn(answer(server.get("/held")));
    soon(entered.recv()).await.unwrap();

    let second = answer(server.get("/free")).await;
    assert_eq!(second.status, 503);
    assert_eq!(second.error(), "too many requests at once");
    assert_eq!(second.header("retry-after"), Some("1"));
    assert_eq!(answer(server.get("/healthz")).await.status, 200);
    assert_eq!(answer(server.get("/readyz")).await.status, 200);

    gate.open();
    assert_eq!(soon(first).await.unwrap().status, 200);
    assert_eq!(answer(server.get("/free")).await.status, 200);
}

#[tokio::test]
async fn a_client_that_goes_away_makes_room() {
    let (server, _gate, mut entered) = start(ONE).await;
    let first = tokio::spawn(server.get("/held").send());
    soon(entered.recv()).await.unwrap();
    first.abort();
    let room = async { while answer(server.get("/free")).await.status != 200 {} };
    soon(room).await;
}

#[tokio::test]
async fn a_panic_makes_room() {
    let routes = Router::new().route("/", get(async || -> () { panic!("on purpose") }));
    let server = Server::start(service::app_with_limits(routes, Always, ONE)).await;
    for _ in 0..3 {
        assert_eq!(answer(server.get("/")).await.status, 500);
    }
}

#[tokio::test]
async fn handlers_see_who_is_calling() {
    let peer = async |ConnectInfo(peer): ConnectInfo<SocketAddr>| Json(peer.ip());
    let routes = Router::new().route("/", get(peer));
    let server = Server::start(service::app(routes, Always)).await;
    assert_eq!(answer(server.get("/")).await.body, "127.0.0.1");
}

#[tokio::test]
async fn faults_come_when_they_are_asked_for() {
    for (fault_error_rate, fault_delay_ms, status) in
        [(0.0, 0, 200), (0.0, 1, 200), (1.0, 0, 500), (1.0, 1, 500)]
    {
        let faults = Faults {
            fault_error_rate,
            fault_delay_ms,
        };
        let routes = faults.apply(Router::new().route("/", get(async || Json("fine"))));
        let server = Server::start(service::app(routes, Always)).await;
        assert_eq!(answer(server.get("/")).await.status, status, "{faults:?}");
        assert_eq!(answer(server.get("/healthz")).await.status, 200);
        assert_eq!(answer(server.get("/nothing")).await.status, 404);
    }
}

#[tokio::test]
async fn a_delay_holds_a_request_up() {
    let faults = Faults {
        fault_error_rate: 0.0,
        fault_delay_ms: u64::MAX,
    };
    let limits = Limits {
        deadline: Duration::from_millis(20),
        ..Limits::default()
    };
    let routes = faults.apply(Router::new().route("/", get(async || Json("fine"))));
    let server = Server::start(service::app_with_limits(routes, Always, limits)).await;
    assert_eq!(answer(server.get("/")).await.status, 503);
}
