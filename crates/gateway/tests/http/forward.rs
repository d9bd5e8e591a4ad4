//! What goes in and what comes out.

use crate::support::{Gateway, Upstream, json};

#[tokio::test]
async fn each_public_route_reaches_its_own_service() {
    let cases = [
        ("/orders", "orders", "/orders"),
        (
            "/orders?limit=2&before=a%2Fb%20c",
            "orders",
            "/orders?limit=2&before=a%2Fb%20c",
        ),
        ("/orders-nplus1?limit=2", "orders", "/orders-nplus1?limit=2"),
        ("/orders/0199-ab", "orders", "/orders/0199-ab"),
        ("/inventory/stock", "inventory", "/stock"),
        ("/inventory/stock/ITEM-001", "inventory", "/stock/ITEM-001"),
    ];
    for (asked, service, target) in cases {
        let orders = Upstream::answering(json(200, r#""orders""#)).await;
        let inventory = Upstream::answering(json(200, r#""inventory""#)).await;
        let gateway = Gateway::between(orders.address, inventory.address).await;

        let answer = gateway.get(asked).await;
        assert_eq!(
            (answer.status, answer.json()),
            (200, service.into()),
            "{asked}"
        );
        assert_eq!(orders.asked().len() + inventory.asked().len(), 1, "{asked}");
        let upstream = if service == "orders" {
            orders
        } else {
            inventory
        };
        assert_eq!(upstream.only().target, target);
        assert_eq!(upstream.only().method, "GET");
    }
}

#[tokio::test]
async fn head_is_answered_like_get_without_the_body() {
    let upstream = Upstream::answering(json(200, "[1, 2]")).await;
    let gateway = Gateway::before(&upstream).await;

    let answer = gateway.send("HEAD /orders", &[], "").await;
    assert_eq!((answer.status, answer.body.as_str()), (200, ""));
    assert_eq!(answer.header("content-length"), Some("6"));
}

#[tokio::test]
async fn an_order_is_passed_on_as_it_is_and_nothing_but_it() {
    let upstream = Upstream::answering(json(201, "{}")).await;
    let gateway = Gateway::before(&upstream).await;
    let headers = [
        ("Content-Type", "application/json; charset=utf-8"),
        ("Idempotency-Key", "one"),
        ("idempotency-key", "two"),
        ("Authorization", "Bearer secret"),
        ("Cookie", "session=secret"),
        ("X-Forwarded-For", "203.0.113.7"),
    ];
    let body = " {\"not\": \"read\", here} ";
    gateway.send("POST /orders?why=not", &headers, body).await;

    let asked = upstream.only();
    assert_eq!(
        (asked.method.as_str(), asked.target.as_str()),
        ("POST", "/orders?why=not")
    );
    assert_eq!(asked.body, body);
    assert_eq!(
        asked.headers["content-type"],
        "application/json; charset=utf-8"
    );
    // Which of two counts is for the service to say.
    let keys: Vec<_> = asked.headers.get_all("idempotency-key").iter().collect();
    assert_eq!(keys, ["one", "two"]);
    assert_eq!(asked.headers["host"], upstream.address.to_string());
    for stays in ["authorization", "cookie", "x-forwarded-for"] {
        assert!(!asked.headers.contains_key(stays), "{stays}");
    }
}

#[tokio::test]
async fn an_answer_comes_back_with_its_status_and_the_headers_that_are_meant_for_clients() {
    let (status, mut headers, body) = json(201, r#"{"id": 7}"#);
    headers.push(("location", "/orders/7".to_owned()));
    headers.push(("set-cookie", "inside=1".to_owned()));
    headers.push(("server", "inside".to_owned()));
    headers.push(("x-inside", "1".to_owned()));
    let upstream = Upstream::answering((status, headers, body)).await;
    let gateway = Gateway::before(&upstream).await;

    let answer = gateway.send("POST /orders", &[], "{}").await;
    assert_eq!((answer.status, answer.body.as_str()), (201, r#"{"id": 7}"#));
    assert_eq!(answer.header("location"), Some("/orders/7"));
    assert_eq!(answer.header("content-type"), Some("application/json"));
    for stays in ["set-cookie", "server", "x-inside"] {
        assert_eq!(answer.header(stays), None);
    }
}
