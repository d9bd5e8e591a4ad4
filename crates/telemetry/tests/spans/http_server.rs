//! Tests the SERVER spans of requests to an axum server.

use std::sync::Arc;
use std::time::Duration;

use crate::support::{capture, expected, only, serve};
use axum::Router;
use axum::middleware::from_fn;
use axum::routing::get;
use http::{Method, StatusCode};
use opentelemetry::trace::{SpanId, SpanKind, Status};
use telemetry::testing::attributes;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::Notify;

fn app() -> Router {
    Router::new()
        .route("/carts/{id}", get(|| async { "here you are" }))
        .route("/teapot", get(|| async { StatusCode::IM_A_TEAPOT }))
        .route("/broken", get(|| async { StatusCode::SERVICE_UNAVAILABLE }))
        .layer(from_fn(telemetry::http_server::trace_request))
}

#[tokio::test]
async fn a_span_has_all_attributes_and_no_secrets() {
    let capture = capture();
    let address = serve(app()).await;

    let url = format!("http://{address}/carts/7?limit=3&sig=hunter2");
    let response = reqwest::Client::new()
        .get(url)
        .header("user-agent", "test/1.0")
        .header("authorization", "Bearer hunter2")
        .header("cookie", "session=hunter2")
        .header("x-forwarded-for", "203.0.113.9")
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), 200);

    let span = only(&capture);
    assert_eq!(span.name, "GET /carts/{id}");
    assert_eq!(span.span_kind, SpanKind::Server);
    assert_eq!(span.status, Status::Unset);
    assert_eq!(span.parent_span_id, SpanId::INVALID);
    assert!(span.events.is_empty() && span.links.is_empty());
    assert_eq!(
        attributes(&span),
        expected([
            ("http.request.method", "GET".into()),
            ("http.response.status_code", 200.into()),
            ("http.route", "/carts/{id}".into()),
            ("url.scheme", "http".into()),
            ("url.path", "/carts/7".into()),
            ("url.query", "limit=3&sig=REDACTED".into()),
            ("server.address", "127.0.0.1".into()),
            ("server.port", i64::from(address.port()).into()),
            ("client.address", "127.0.0.1".into()),
            ("network.protocol.version", "1.1".into()),
            ("user_agent.original", "test/1.0".into()),
        ])
    );
}

#[tokio::test]
async fn name_route_and_status_match_the_response() {
    struct Case {
        request: (&'static str, &'static str),
        name: &'static str,
        method: &'static str,
        route: Option<&'static str>,
        code: i64,
        status: Status,
    }
    let cases = [
        Case {
            request: ("GET", "/carts/7"),
            name: "GET /carts/{id}",
            method: "GET",
            route: Some("/carts/{id}"),
            code: 200,
            status: Status::Unset,
        },
        Case {
            request: ("GET", "/nowhere/at/all"),
            name: "GET",
            method: "GET",
            route: None,
            code: 404,
            status: Status::Unset,
        },
        Case {
            request: ("DELETE", "/carts/7"),
            name: "DELETE /carts/{id}",
            method: "DELETE",
            route: Some("/carts/{id}"),
            code: 405,
            status: Status::Unset,
        },
        Case {
            request: ("GET", "/teapot"),
            name: "GET /teapot",
            method: "GET",
            route: Some("/teapot"),
            code: 418,
            status: Status::Unset,
        },
        Case {
            request: ("GET", "/broken"),
            name: "GET /broken",
            method: "GET",
            route: Some("/broken"),
            code: 503,
            status: Status::error(""),
        },
        Case {
            request: ("BREW", "/teapot"),
            name: "HTTP /teapot",
            method: "_OTHER",
            route: Some("/teapot"),
            code: 405,
            status: Status::Unset,
        },
    ];
    for case in cases {
        let capture = capture();
        let address = serve(app()).await;
        let (method, path) = case.request;
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let request = reqwest::Client::new().request(method, format!("http://{address}{path}"));
        request.send().await.unwrap();

        let span = only(&capture);
        let found = attributes(&span);
        let failed = case.status != Status::Unset;
        assert_eq!(span.name, case.name);
        assert_eq!(span.status, case.status, "{path}");
        assert_eq!(found["http.request.method"], case.method.into());
        assert_eq!(found.get("http.route").cloned(), case.route.map(Into::into));
        assert_eq!(found["http.response.status_code"], case.code.into());
        let error_type = failed.then(|| case.code.to_string().into());
        assert_eq!(found.get("error.type").cloned(), error_type);
    }
}

#[tokio::test]
async fn the_span_of_an_abandoned_request_ends() {
    let capture = capture();
    let started = Arc::new(Notify::new());
    let signal = Arc::clone(&started);
    let never = get(move || async move {
        signal.notify_one();
        std::future::pending::<()>().await;
    });
    let app = Router::new()
        .route("/never", never)
        .layer(from_fn(telemetry::http_server::trace_request));
    let address = serve(app).await;

    let mut client = TcpStream::connect(address).await.unwrap();
    let request = b"GET /never HTTP/1.1\r\nHost: somewhere\r\n\r\n";
    client.write_all(request).await.unwrap();
    started.notified().await;
    assert!(capture.ended().is_empty());
    drop(client);

    let soon = Duration::from_secs(20);
    let mut ended = capture.wait_until(soon, |ended| !ended.is_empty()).await;
    let span = ended.remove(0);
    assert_eq!(span.name, "GET /never");
    assert_eq!(span.status, Status::Unset);
    let found = attributes(&span);
    assert_eq!(found["server.address"], "somewhere".into());
    assert!(
        !found.contains_key("server.port"),
        "the Host header has no port"
    );
    assert!(
        !found.contains_key("http.response.status_code"),
        "no response was sent"
    );
}
