//! How a server ends.

use std::time::Duration;

use axum::Router;
use service::Always;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::support::{Entered, Gate, LIMIT, Server, answer, gated, soon};

async fn start(drain: Duration) -> (Server, Gate, Entered) {
    let (routes, gate, entered) = gated();
    let app = service::app(routes, Always);
    (Server::start_with_drain(app, drain).await, gate, entered)
}

/// With this one, a test that had to wait for the bound would fail.
const FOR_EVER: Duration = LIMIT.saturating_mul(100);

#[tokio::test]
async fn a_request_in_flight_is_finished_and_no_new_one_taken() {
    let (server, gate, mut entered) = start(FOR_EVER).await;
    let in_flight = tokio::spawn(answer(server.get("/held")));
    soon(entered.recv()).await.unwrap();

    server.shutdown.cancel();
    soon(async { while TcpStream::connect(server.address).await.is_ok() {} }).await;
    assert!(!server.served.is_finished());

    gate.open();
    let answer = soon(in_flight).await.unwrap();
    assert_eq!((answer.status, answer.body), (200, "done".into()));
    soon(server.served).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_request_that_hangs_is_cut_off_at_the_bound() {
    let (server, _gate, mut entered) = start(Duration::from_millis(20)).await;
    let hanging = tokio::spawn(server.get("/held").send());
    soon(entered.recv()).await.unwrap();

    server.stop().await;
    let cut_off = soon(hanging).await.unwrap();
    assert!(cut_off.is_err(), "{cut_off:?}");
}

#[tokio::test]
async fn idle_connections_hold_nothing_up() {
    let (server, _gate, _entered) = start(FOR_EVER).await;
    // One that was just opened, and one that has been used.
    let mut fresh = server.connect().await;
    let mut used = server.connect().await;
    let request = b"GET /free HTTP/1.1\r\nhost: test\r\n\r\n";
    used.write_all(request).await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"\"done\"") {
        assert_ne!(soon(used.read_buf(&mut answer)).await.unwrap(), 0);
    }

    server.stop().await;
    for connection in [&mut fresh, &mut used] {
        assert_eq!(soon(connection.read_buf(&mut answer)).await.unwrap(), 0);
    }
}

#[tokio::test]
async fn a_server_without_clients_just_ends() {
    let (server, _gate, _entered) = start(FOR_EVER).await;
    server.stop().await;
}

#[tokio::test]
async fn an_end_that_was_asked_for_before_the_start_is_one() {
    let (server, _gate, _entered) = start(FOR_EVER).await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    server.shutdown.cancel();
    let app = service::app(Router::new(), Always);
    let served = service::serve(listener, app, server.shutdown.clone());
    soon(served).await.unwrap();
}
