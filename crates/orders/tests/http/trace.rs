//! What a request leaves in its trace.

use opentelemetry::trace::{SpanKind, Status};
use opentelemetry_sdk::trace::SpanData;
use serde_json::json;
use telemetry::testing::{attributes, caller};

use crate::app::{App, kafka, new_order};

#[tokio::test]
async fn an_order_is_one_trace_that_is_found_by_its_id() {
    let kafka = kafka();
    let app = App::start_with_kafka(kafka.bootstrap_servers()).await;
    let (traceparent, trace) = caller();

    let request = app.http.post(app.url("/orders")).json(&new_order());
    let response = request
        .header("traceparent", traceparent)
        .send()
        .await
        .unwrap();
    let order: serde_json::Value = response.json().await.unwrap();
    app.ended("send order.created").await;
    let post = app.ended("POST /orders").await;

    let mut spans = app.spans.ended();
    spans.sort_by_key(|span| span.start_time);
    let seen: Vec<_> = spans
        .iter()
        .map(|span| (&*span.name, span.span_kind.clone()))
        .collect();
    let expected = [
        ("POST /orders", SpanKind::Server),
        ("BEGIN", SpanKind::Client),
        ("INSERT orders.orders", SpanKind::Client),
        ("INSERT orders.order_items", SpanKind::Client),
        ("INSERT orders.outbox", SpanKind::Client),
        ("COMMIT", SpanKind::Client),
        ("send order.created", SpanKind::Producer),
    ];
    assert_eq!(seen, expected);
    for span in &spans {
        assert_eq!(span.span_context.trace_id(), trace, "{span:#?}");
        // A transaction may begin before there is an order.
        let expected = order["id"].as_str().filter(|_| span.name != "BEGIN");
        assert_eq!(order_id(span).as_deref(), expected, "{span:#?}");
        assert_eq!(span.status, Status::Unset, "{span:#?}");
    }
    for span in &spans[1..] {
        assert_eq!(
            span.parent_span_id,
            post.span_context.span_id(),
            "{span:#?}"
        );
    }
    assert_eq!(post.parent_span_id.to_string(), "00f067aa0ba902b7");
}

/// Reading an order is no part of its trace. Changing its status is, and the id comes from the path: a caller that
/// sends no baggage is found by its order as well.
#[tokio::test]
async fn the_id_marks_a_change_of_status_but_not_a_read() {
    let app = App::start().await;
    let order = app.place().await;
    let id = order["id"].as_str().unwrap();
    app.ended("POST /orders").await;
    app.spans.clear();

    app.get(&format!("/orders/{id}")).await;
    app.ended("GET /orders/{id}").await;
    for span in app.spans.ended() {
        assert_eq!(order_id(&span), None, "{span:#?}");
    }
    app.spans.clear();

    for baggage in ["", &format!("order.id={id}")] {
        let request = app.http.patch(app.url(&format!("/orders/{id}/status")));
        let request = request.header("baggage", baggage);
        let change = json!({"status": "confirmed"});
        assert_eq!(request.json(&change).send().await.unwrap().status(), 200);
        app.ended("PATCH /orders/{id}/status").await;
        for span in app.spans.ended() {
            assert_eq!(order_id(&span).as_deref(), Some(id), "{span:#?}");
        }
        app.spans.clear();
    }
}

/// How many statements a request takes, and which; the point of `/orders-nplus1`.
#[tokio::test]
async fn statements_of_each_request() {
    let app = App::start().await;
    let order = app.place().await;
    let id = order["id"].as_str().unwrap();
    for _ in 0..4 {
        app.place().await;
    }
    let (orders, items) = ("SELECT orders.orders", "SELECT orders.order_items");

    for (path, expected) in [
        ("/orders", vec![orders, items]),
        ("/orders?limit=3", vec![orders, items]),
        (&format!("/orders?before={id}"), vec![orders, orders, items]),
        (
            "/orders-nplus1",
            vec![orders, items, items, items, items, items],
        ),
        ("/orders-nplus1?limit=3", vec![orders, items, items, items]),
        (&format!("/orders/{id}"), vec![orders, items]),
        ("/orders/0190e6a0-7b1e-7000-8000-000000000001", vec![orders]),
        ("/orders/7", vec![]),
        ("/readyz", vec![]),
    ] {
        let statements = statements(&app, app.http.get(app.url(path))).await;
        assert_eq!(statements, expected, "{path}");
    }

    let update = "UPDATE orders.orders";
    for (wish, expected) in [
        (
            json!({"status": "confirmed", "from": "pending"}),
            vec![update, items],
        ),
        (
            json!({"status": "confirmed", "from": "pending"}),
            vec![update, orders, items],
        ),
        (json!({"status": "shipped"}), vec![update, items]),
    ] {
        let request = app.http.patch(app.url(&format!("/orders/{id}/status")));
        let statements = statements(&app, request.json(&wish)).await;
        assert_eq!(statements, expected, "{wish}");
    }
}

/// The statements that a request took: those of its own trace, one after the other.
async fn statements(app: &App, request: reqwest::RequestBuilder) -> Vec<String> {
    let (traceparent, trace) = caller();
    request
        .header("traceparent", traceparent)
        .send()
        .await
        .unwrap();
    let spans = app.spans.statements_of(trace);
    spans.iter().map(|span| span.name.to_string()).collect()
}

fn order_id(span: &SpanData) -> Option<String> {
    let attributes = attributes(span);
    attributes.get("order.id").map(ToString::to_string)
}
