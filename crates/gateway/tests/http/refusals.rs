//! Who is turned away at the door, without anyone behind it hearing of them.

use service::Limits;
use tokio::net::TcpListener;

use crate::support::{DEADLINE, Gateway, Upstream, json};

#[tokio::test]
async fn what_is_not_public_is_not_there() {
    let cases = [
        ("GET /stock", 404, "there is no such page"),
        ("GET /stock/ITEM-001", 404, "there is no such page"),
        ("POST /stock/ITEM-001/reserve", 404, "there is no such page"),
        (
            "POST /inventory/stock/ITEM-001/reserve",
            404,
            "there is no such page",
        ),
        (
            "POST /inventory/stock/ITEM-001/release",
            404,
            "there is no such page",
        ),
        ("PATCH /orders/7/status", 404, "there is no such page"),
        ("POST /send", 404, "there is no such page"),
        ("GET /orders/", 404, "there is no such page"),
        ("GET /orders/7/", 404, "there is no such page"),
        ("GET //orders", 404, "there is no such page"),
        ("GET /inventory/stock/", 404, "there is no such page"),
        ("GET /orders/..", 404, "there is no such thing"),
        ("GET /orders/.", 404, "there is no such thing"),
        ("GET /orders/%2e%2e", 404, "there is no such thing"),
        ("GET /orders/..%2Fx", 404, "there is no such thing"),
        ("GET /orders/7%2Fstatus", 404, "there is no such thing"),
        ("GET /orders/7%3Fx", 404, "there is no such thing"),
        ("GET /orders/7%23x", 404, "there is no such thing"),
        ("GET /orders/%00", 404, "there is no such thing"),
        ("GET /orders/%ff", 404, "there is no such thing"),
        ("GET /orders/%", 404, "there is no such thing"),
        ("GET /orders/a%20b", 404, "there is no such thing"),
        ("GET /inventory/stock/%2e%2e", 404, "there is no such thing"),
        (
            "GET /inventory/stock/..%2F..%2Forders",
            404,
            "there is no such thing",
        ),
        ("GET /inventory/stock/a%5Cb", 404, "there is no such thing"),
        ("DELETE /orders", 405, "this method is not allowed here"),
        ("PUT /orders/7", 405, "this method is not allowed here"),
        ("PATCH /orders/7", 405, "this method is not allowed here"),
        (
            "POST /orders-nplus1",
            405,
            "this method is not allowed here",
        ),
        (
            "POST /inventory/stock",
            405,
            "this method is not allowed here",
        ),
        ("OPTIONS /orders", 405, "this method is not allowed here"),
        ("BREW /orders", 405, "this method is not allowed here"),
    ];
    let upstream = Upstream::answering(json(200, "[]")).await;
    let gateway = Gateway::before(&upstream).await;
    for (line, status, message) in cases {
        println!("{line}");
        gateway
            .send(line, &[], "")
            .await
            .assert_error(status, message);
    }
    assert_eq!(upstream.asked().len(), 0);
}

#[tokio::test]
async fn a_foreign_host_is_refused() {
    let cases = [
        ("localhost:8080", 200),
        ("127.0.0.1", 200),
        ("[::1]:8080", 200),
        ("gateway:8080", 200),
        ("evil.example", 421),
        ("127.0.0.1.evil.example", 421),
        ("", 421),
    ];
    let upstream = Upstream::answering(json(200, "[]")).await;
    let gateway = Gateway::before(&upstream).await;
    for (host, status) in cases {
        let answer = gateway.send("GET /orders", &[("Host", host)], "").await;
        assert_eq!(answer.status, status, "{host}");
    }
    let whole = gateway
        .send(
            "GET http://evil.example/orders",
            &[("Host", "localhost")],
            "",
        )
        .await;
    whole.assert_error(421, "this host name is not known here");
}

#[tokio::test]
async fn whoever_asks_for_its_health_may_call_it_what_it_likes() {
    let gateway = Gateway::before(&Upstream::answering(json(200, "[]")).await).await;
    for target in ["GET /healthz", "GET /readyz"] {
        let answer = gateway
            .send(target, &[("Host", "10-1-2-3.pod.example")], "")
            .await;
        assert_eq!(answer.status, 200, "{answer:#?}");
    }
}

#[tokio::test]
async fn a_body_has_64_kib_at_most() {
    let upstream = Upstream::answering(json(201, "{}")).await;
    let gateway = Gateway::before(&upstream).await;

    let answer = gateway
        .send("POST /orders", &[], &"x".repeat(64 * 1024))
        .await;
    assert_eq!(answer.status, 201);
    let answer = gateway
        .send("POST /orders", &[], &"x".repeat(64 * 1024 + 1))
        .await;
    answer.assert_error(413, "the body is too large");
    let chunk = format!("10001\r\n{}\r\n0\r\n\r\n", "x".repeat(0x10001));
    let answer = gateway
        .send_as_it_is("POST /orders", &[("Transfer-Encoding", "chunked")], &chunk)
        .await;
    answer.assert_error(413, "the body is too large");
    assert_eq!(upstream.asked().len(), 1);
}

#[tokio::test]
async fn past_the_bound_a_request_is_told_to_come_back() {
    let busy = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = busy.local_addr().unwrap();
    let limits = Limits {
        in_flight: 1,
        ..Limits::default()
    };
    let gateway = Gateway::within(limits, DEADLINE, address, address).await;

    let first = gateway.get("/orders");
    let second = async {
        // The first is in flight once it has come out at the other end.
        let waiting = busy.accept().await.unwrap();
        let answer = gateway.get("/orders").await;
        answer.assert_error(503, "too many requests at once");
        assert_eq!(answer.header("retry-after"), Some("1"));
        drop(waiting);
    };
    let (first, ()) = tokio::join!(first, second);
    assert_eq!(first.status, 502);
    drop(busy);
    // Its place is free again.
    assert_eq!(gateway.get("/orders").await.status, 502);
}
