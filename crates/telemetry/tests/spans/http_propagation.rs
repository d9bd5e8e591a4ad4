//! Tests which context enters a service over HTTP, and which leaves it.
//!
//! The cases of `traceparent` and `tracestate` are listed in `src/w3c/trace_context/tests.rs`. Here are
//! those that concern HTTP headers: repeated ones, ones that are not text, and stale ones.

use std::time::Duration;

use crate::support::{capture, only, serve};
use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::middleware::from_fn;
use axum::response::Response;
use axum::routing::get;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use opentelemetry::Context;
use opentelemetry::context::FutureExt;
use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt};
use telemetry::http_client::Client;
use telemetry::http_server::trace_request;
use telemetry::w3c::parse_traceparent;
use tower::ServiceExt;
use url::Url;

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const CALLER: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// A router whose response has the request's headers as they were sent on to a second service.
async fn forwarding(stale: HeaderMap) -> Router {
    let echo = get(|headers: HeaderMap| async move {
        let mut response = Response::new(Body::empty());
        *response.headers_mut() = headers;
        response
    });
    let second = serve(Router::new().route("/", echo)).await;
    let base = Url::parse(&format!("http://{second}")).expect("a URL");
    let client = Client::new(base, Duration::from_secs(30)).expect("a client");
    let forward = get(move || async move {
        let request = client.request(Method::GET, "/").headers(stale);
        let answer = client.send(request).await.expect("an answer");
        let mut response = Response::new(Body::empty());
        *response.headers_mut() = answer.headers().clone();
        response
    });
    Router::new()
        .route("/", forward)
        .layer(from_fn(trace_request))
}

/// Sends these headers through a service with `stale` headers on its own request; what it sends on.
async fn forward(
    headers: &[(&'static str, &[u8])],
    stale: &[(&'static str, &'static str)],
) -> HeaderMap {
    let stale = stale.iter();
    let stale = stale.map(|(name, value)| {
        (
            HeaderName::from_static(name),
            HeaderValue::from_static(value),
        )
    });
    let app = forwarding(stale.collect()).await;
    let mut request = Request::new(Body::empty());
    for (name, value) in headers {
        let value = HeaderValue::from_bytes(value).expect("a header");
        request.headers_mut().append(*name, value);
    }
    let response = app.oneshot(request).await.expect("an answer");
    response.headers().clone()
}

fn sent(headers: &HeaderMap) -> SpanContext {
    let value = headers["traceparent"].to_str().expect("text");
    parse_traceparent(value).expect("a valid traceparent")
}

#[tokio::test]
async fn one_valid_traceparent_is_continued_and_anything_else_starts_a_trace() {
    let cases: [(&[&[u8]], bool); 9] = [
        (&[CALLER.as_bytes()], true),
        (&[CALLER.as_bytes(), CALLER.as_bytes()], false),
        (&[CALLER.as_bytes(), b""], false),
        (&[CALLER.as_bytes(), b"\xff"], false),
        (&[b"\xff", CALLER.as_bytes()], false),
        (&[b"\xff"], false),
        (&[b""], false),
        (&[b"00-abc-def-01"], false),
        (&[], false),
    ];
    for (values, is_continued) in cases {
        let capture = capture();
        let headers: Vec<_> = values.iter().map(|value| ("traceparent", *value)).collect();
        let sent = sent(&forward(&headers, &[]).await);
        assert_eq!(
            sent.trace_id().to_string() == TRACE,
            is_continued,
            "{values:?}"
        );

        let spans = capture.named("GET /");
        let [server] = spans.as_slice() else {
            panic!("one SERVER span is expected: {spans:#?}");
        };
        assert_eq!(server.span_context.trace_id(), sent.trace_id());
        let parent = if is_continued {
            "b7ad6b7169203331"
        } else {
            "0000000000000000"
        };
        assert_eq!(server.parent_span_id.to_string(), parent, "{values:?}");
        assert_eq!(server.parent_span_is_remote, is_continued);
    }
}

#[tokio::test]
async fn the_current_context_is_not_the_parent_of_a_request() {
    let capture = capture();
    let app = Router::new()
        .route("/", get(|| async {}))
        .layer(from_fn(trace_request));
    let around = parse_traceparent(CALLER).expect("a valid traceparent");
    let around = Context::new().with_remote_span_context(around);

    let response = app.oneshot(Request::new(Body::empty()));
    response.with_context(around).await.expect("an answer");

    let server = only(&capture);
    assert_eq!(server.parent_span_id, SpanId::INVALID);
    assert_ne!(server.span_context.trace_id().to_string(), TRACE);
}

#[tokio::test]
async fn all_tracestate_headers_are_sent_on_as_one() {
    let _capture = capture();
    let headers: [(&str, &[u8]); 4] = [
        ("traceparent", CALLER.as_bytes()),
        ("tracestate", b"a=1,b=2"),
        ("tracestate", b""),
        ("tracestate", b"c=3"),
    ];
    let headers = forward(&headers, &[]).await;
    let states: Vec<_> = headers.get_all("tracestate").iter().collect();
    assert_eq!(states, ["a=1,b=2,c=3"]);
}

/// A client that adds headers of its own can't make its request a part of another trace.
#[tokio::test]
async fn stale_headers_are_replaced_or_removed() {
    let _capture = capture();
    let stale = [
        ("traceparent", CALLER),
        ("tracestate", "old=1"),
        ("baggage", "old=1"),
        ("x-request-id", "7"),
    ];
    let headers = forward(&[], &stale).await;
    assert_eq!(headers.get_all("traceparent").iter().count(), 1);
    assert_ne!(sent(&headers).trace_id().to_string(), TRACE);
    assert!(!headers.contains_key("tracestate"), "{headers:?}");
    assert!(!headers.contains_key("baggage"), "{headers:?}");
    assert_eq!(headers["x-request-id"], "7");
}

#[tokio::test]
async fn the_random_flag_reaches_request_and_response() {
    // Incoming, outgoing. A trace that starts here has a random id.
    for (incoming, outgoing) in [(Some("01"), "01"), (Some("03"), "03"), (None, "03")] {
        let _capture = capture();
        let value = incoming.map(|flags| format!("{}{flags}", &CALLER[..53]));
        let headers: Vec<_> = value
            .iter()
            .map(|value| ("traceparent", value.as_bytes()))
            .collect();
        let headers = forward(&headers, &[]).await;
        assert_eq!(
            &headers["traceparent"].as_bytes()[53..],
            outgoing.as_bytes()
        );
    }
}

/// The extension of the response is what a `traceresponse` header is made of.
#[tokio::test]
async fn the_span_context_of_a_response_has_the_random_flag() {
    let _capture = capture();
    let inside = get(|| async { telemetry::context::traceresponse().expect("a span") });
    let app = Router::new()
        .route("/", inside)
        .layer(from_fn(trace_request));
    let response = app.oneshot(Request::new(Body::empty())).await.unwrap();
    let span = response.extensions().get::<SpanContext>().expect("a span");
    let outside = telemetry::context::traceresponse_of(span);
    let body = axum::body::to_bytes(response.into_body(), 100)
        .await
        .unwrap();
    assert_eq!(body, outside);
    assert!(outside.ends_with("-03"), "{outside}");
}

#[tokio::test]
async fn baggage_that_is_not_text_or_malformed_is_dropped() {
    let _capture = capture();
    let headers: [(&str, &[u8]); 3] = [
        ("baggage", b"token=YWJj==,broken"),
        ("baggage", b"\xff=1"),
        ("baggage", b"tier=gold;p=1"),
    ];
    let headers = forward(&headers, &[]).await;
    assert_eq!(headers["baggage"], "tier=gold;p=1,token=YWJj==");
}
