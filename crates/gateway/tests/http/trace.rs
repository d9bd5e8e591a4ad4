//! What the trace looks like, and what a client learns and decides of it.

use opentelemetry::trace::{SpanKind, Status};
use telemetry::testing::attributes;

use crate::support::{Gateway, Upstream, json, nobody};

const ORDER: &str = "019aaf3e-7a1c-7f00-8000-0123456789ab";

fn placed(order: &str) -> crate::support::Answer {
    let (status, mut headers, body) = json(201, "{}");
    headers.push(("location", format!("/orders/{order}")));
    (status, headers, body)
}

#[tokio::test]
async fn an_order_is_one_trace_and_the_client_learns_which() {
    let upstream = Upstream::answering(placed(ORDER)).await;
    let gateway = Gateway::before(&upstream).await;

    let answer = gateway.send("POST /orders", &[], "{}").await;
    let [client, server] = gateway.ended().await;
    assert_eq!(
        (server.name.as_ref(), &server.span_kind),
        ("POST /orders", &SpanKind::Server)
    );
    assert_eq!(
        (client.name.as_ref(), &client.span_kind),
        ("POST", &SpanKind::Client)
    );
    assert_eq!(client.parent_span_id, server.span_context.span_id());

    let (trace, span) = answer.trace();
    assert_eq!(trace, server.span_context.trace_id().to_string());
    assert_eq!(span, server.span_context.span_id().to_string());
    let context = client.span_context;
    let sent = format!("00-{}-{}-03", context.trace_id(), context.span_id());
    assert_eq!(upstream.only().headers["traceparent"], sent);
}

#[tokio::test]
async fn the_span_of_a_placed_order_has_its_id_and_others_have_none() {
    let list = json(200, "[]");
    let cases = [
        ("POST /orders", placed(ORDER), Some(ORDER)),
        ("POST /orders", json(201, "{}"), None),
        ("POST /orders", placed("%0d/../x"), None),
        (
            "POST /orders",
            (axum::http::StatusCode::OK, placed(ORDER).1, String::new()),
            None,
        ),
        ("GET /orders", list.clone(), None),
        (
            "GET /orders/019aaf3e-7a1c-7f00-8000-0123456789ab",
            list,
            None,
        ),
    ];
    for (line, answer, order) in cases {
        let gateway = Gateway::before(&Upstream::answering(answer).await).await;
        gateway.send(line, &[], "").await;
        let [_client, server] = gateway.ended().await;
        let attributes = attributes(&server);
        let id = attributes.get("order.id").map(|id| id.as_str());
        assert_eq!(id.as_deref(), order, "{line}");
    }
}

#[tokio::test]
async fn the_callers_trace_goes_on_and_its_baggage_does_not() {
    let upstream = Upstream::answering(json(200, "[]")).await;
    let gateway = Gateway::before(&upstream).await;
    let headers = [
        (
            "traceparent",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        ),
        ("tracestate", "vendor=1"),
        ("baggage", "order.id=forged"),
        ("Baggage", "user=someone"),
    ];

    let answer = gateway.send("GET /orders", &headers, "").await;
    let [_client, server] = gateway.ended().await;
    assert_eq!(answer.trace().0, "0af7651916cd43dd8448eb211c80319c");
    assert_eq!(server.parent_span_id.to_string(), "b7ad6b7169203331");
    assert_eq!(attributes(&server).get("order.id"), None);
    let asked = upstream.only();
    assert_eq!(asked.headers["tracestate"], "vendor=1");
    assert!(
        !asked.headers.contains_key("baggage"),
        "{:?}",
        asked.headers
    );
}

#[tokio::test]
async fn the_callers_trace_becomes_a_link_where_that_is_configured() {
    let upstream = Upstream::answering(json(200, "[]")).await;
    let gateway = Gateway::linking(&upstream).await;
    let theirs = "0af7651916cd43dd8448eb211c80319c";
    let traceparent = format!("00-{theirs}-b7ad6b7169203331-01");
    let headers = [
        ("traceparent", traceparent.as_str()),
        ("tracestate", "vendor=1"),
    ];

    let answer = gateway.send("GET /orders", &headers, "").await;
    let [_client, server] = gateway.ended().await;
    assert_ne!(answer.trace().0, theirs);
    assert_eq!(server.parent_span_id.to_string(), "0000000000000000");
    let [link] = &server.links.links[..] else {
        panic!("not one link: {server:#?}");
    };
    assert_eq!(link.span_context.trace_id().to_string(), theirs);
    assert_eq!(link.span_context.span_id().to_string(), "b7ad6b7169203331");
    let tracestate = upstream.only().headers.get("tracestate").cloned();
    assert_ne!(
        tracestate.as_ref().map(|value| value.as_bytes()),
        Some(&b"vendor=1"[..])
    );
}

#[tokio::test]
async fn a_failure_behind_the_gateway_is_an_error_on_both_its_spans() {
    let address = nobody().await;
    let gateway = Gateway::between(address, address).await;

    gateway.get("/orders").await;
    let [client, server] = gateway.ended().await;
    assert_eq!(
        attributes(&client).get("error.type"),
        Some(&"connect".into())
    );
    assert!(matches!(client.status, Status::Error { .. }));
    assert_eq!(attributes(&server).get("error.type"), Some(&"502".into()));
    assert_eq!(server.status, Status::error(""));
}

#[tokio::test]
async fn a_refused_request_has_a_span_and_names_it_too() {
    let gateway = Gateway::before(&Upstream::answering(json(200, "[]")).await).await;

    let answer = gateway.get("/internal").await;
    let [server] = gateway.ended().await;
    assert_eq!(server.name, "GET");
    answer.assert_error(404, "there is no such page");
    assert_eq!(answer.trace().1, server.span_context.span_id().to_string());
}

#[tokio::test]
async fn health_is_not_traced() {
    let gateway = Gateway::before(&Upstream::answering(json(200, "[]")).await).await;

    for target in ["/healthz", "/readyz", "/orders"] {
        gateway.get(target).await;
    }
    let [_client, server] = gateway.ended().await;
    assert_eq!(server.name, "GET /orders");
}
