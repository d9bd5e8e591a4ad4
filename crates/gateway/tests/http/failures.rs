//! What a client is told when the service behind can't answer as it should.

use std::time::Duration;

use axum::http::StatusCode;
use service::Limits;
use tokio::net::TcpListener;

use crate::support::{Gateway, Upstream, json, nobody};

#[tokio::test]
async fn an_error_of_the_service_is_passed_on_with_the_trace_in_it() {
    let cases = [400, 404, 409, 415, 422, 500, 502, 503, 504];
    for status in cases {
        let upstream = Upstream::answering(json(status, r#"{"error": "it is so"}"#)).await;
        let gateway = Gateway::before(&upstream).await;
        gateway
            .get("/orders/7")
            .await
            .assert_error(status, "it is so");
    }
}

#[tokio::test]
async fn whatever_else_an_error_says_stays_in_it() {
    let upstream = Upstream::answering(json(409, r#"{"error": "no", "status": "shipped"}"#)).await;
    let gateway = Gateway::before(&upstream).await;
    let answer = gateway.get("/orders/7").await;
    assert_eq!(answer.json()["status"], "shipped");
}

#[tokio::test]
async fn an_error_that_is_none_of_ours_is_put_in_our_words() {
    let bodies = [
        "",
        "<h1>stack trace</h1>",
        "[1]",
        r#"{"error": 7}"#,
        r#"{"message": "secret"}"#,
    ];
    for body in bodies {
        let text = ("content-type", "text/html".to_owned());
        let answer = (
            StatusCode::INTERNAL_SERVER_ERROR,
            vec![text],
            body.to_owned(),
        );
        let upstream = Upstream::answering(answer).await;
        let gateway = Gateway::before(&upstream).await;
        gateway
            .get("/orders")
            .await
            .assert_error(500, "internal server error");
    }
}

#[tokio::test]
async fn retry_after_is_passed_on() {
    let (status, mut headers, body) = json(503, r#"{"error": "the database is away"}"#);
    headers.push(("retry-after", "7".to_owned()));
    let upstream = Upstream::answering((status, headers, body)).await;
    let gateway = Gateway::before(&upstream).await;

    let answer = gateway.get("/orders").await;
    answer.assert_error(503, "the database is away");
    assert_eq!(answer.header("retry-after"), Some("7"));
}

#[tokio::test]
async fn a_service_that_is_not_there_is_a_502() {
    let gateway = Gateway::between(nobody().await, nobody().await).await;
    let answer = gateway.send("POST /orders", &[], "{}").await;
    answer.assert_error(502, "the orders service could not be reached");
    let answer = gateway.get("/inventory/stock").await;
    answer.assert_error(502, "the inventory service could not be reached");
}

#[tokio::test]
async fn a_service_that_hangs_up_halfway_is_a_502() {
    let half = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf";
    for sent in ["", "HTTP/1.1 200 OK\r\n", half] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                stream.readable().await.unwrap();
                stream.try_read(&mut [0; 4096]).unwrap();
                stream.try_write(sent.as_bytes()).unwrap();
            }
        });
        let gateway = Gateway::between(address, address).await;
        let answer = gateway.get("/orders").await;
        answer.assert_error(502, "the orders service could not be reached");
    }
}

#[tokio::test]
async fn a_service_that_takes_too_long_is_a_504() {
    // It accepts, and never says a word; the backlog of the listener does that by itself.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = silent.local_addr().unwrap();
    let deadline = Duration::from_millis(50);
    let gateway = Gateway::within(Limits::default(), deadline, address, address).await;

    let answer = gateway.get("/orders").await;
    answer.assert_error(504, "the orders service took too long");
    let answer = gateway.get("/inventory/stock").await;
    answer.assert_error(504, "the inventory service took too long");
}

#[tokio::test]
async fn an_answer_without_end_is_a_502() {
    let upstream = Upstream::answering(json(200, &" ".repeat(2 * 1024 * 1024 + 1))).await;
    let gateway = Gateway::before(&upstream).await;
    let answer = gateway.get("/orders").await;
    answer.assert_error(502, "the orders service answered too much");
}
