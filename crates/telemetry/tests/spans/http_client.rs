//! Tests the CLIENT spans of requests, and traces through several services.

use std::time::Duration;

use crate::support::{capture, expected, only, serve};
use axum::Router;
use axum::middleware::from_fn;
use axum::routing::{any, get};
use http::{Method, StatusCode};
use opentelemetry::trace::{SpanKind, Status};
use opentelemetry_sdk::trace::SpanData;
use telemetry::http_client::Client;
use telemetry::testing::attributes;
use tokio::net::TcpListener;
use url::Url;

fn client(base: &str) -> Client {
    client_within(base, Duration::from_secs(30))
}

fn client_within(base: &str, timeout: Duration) -> Client {
    let base = Url::parse(base).expect("a URL");
    Client::new(base, timeout).expect("a client")
}

#[tokio::test]
async fn a_request_has_a_span_with_its_status() {
    let cases = [
        ("GET", "GET", "GET", 200, false),
        ("POST", "POST", "POST", 201, false),
        ("GET", "GET", "GET", 302, false),
        ("PATCH", "PATCH", "PATCH", 409, true),
        ("GET", "GET", "GET", 500, true),
        ("BREW", "HTTP", "_OTHER", 200, false),
    ];
    for (method, name, attribute, code, failed) in cases {
        let capture = capture();
        let answer = move || async move { StatusCode::from_u16(code).unwrap() };
        let address = serve(Router::new().route("/carts/7", any(answer))).await;

        let client = client(&format!("http://{address}"));
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let request = client.request(method, "/carts/7?sig=hunter2&limit=3");
        let response = client.send(request).await.unwrap();
        assert_eq!(response.status(), code);

        let span = only(&capture);
        assert_eq!(span.name, name);
        assert_eq!(span.span_kind, SpanKind::Client);
        let status = if failed {
            Status::error("")
        } else {
            Status::Unset
        };
        assert_eq!(span.status, status, "{code}");
        let full = format!("http://{address}/carts/7?sig=REDACTED&limit=3");
        let mut attributes_expected = expected([
            ("http.request.method", attribute.into()),
            ("http.response.status_code", i64::from(code).into()),
            ("server.address", "127.0.0.1".into()),
            ("server.port", i64::from(address.port()).into()),
            ("url.full", full.into()),
        ]);
        if failed {
            attributes_expected.insert("error.type".to_owned(), code.to_string().into());
        }
        assert_eq!(attributes(&span), attributes_expected);
    }
}

#[tokio::test]
async fn a_refused_connection_is_a_connect_error() {
    let capture = capture();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);

    let error = call(&client(&format!("http://{address}")))
        .await
        .unwrap_err();

    assert!(error.is_connect());
    assert_failed(&only(&capture), "connect", "refused");
}

#[tokio::test]
async fn a_missing_response_is_a_timeout() {
    let capture = capture();
    let address = serve(Router::new().route("/carts", get(std::future::pending::<()>))).await;
    let client = client_within(&format!("http://{address}"), Duration::from_millis(50));

    let error = call(&client).await.unwrap_err();

    assert!(error.is_timeout());
    assert_failed(&only(&capture), "timeout", "timed out");
}

#[tokio::test]
async fn a_closed_connection_is_a_request_error() {
    let capture = capture();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { while listener.accept().await.is_ok() {} });

    let error = call(&client(&format!("http://{address}")))
        .await
        .unwrap_err();

    assert!(error.is_request());
    assert_failed(&only(&capture), "request", "");
}

#[tokio::test]
async fn credentials_in_the_address_are_sent_but_not_recorded() {
    let capture = capture();
    let guarded = get(|headers: http::HeaderMap| async move {
        assert!(headers.contains_key("authorization"));
    });
    let address = serve(Router::new().route("/api/carts", guarded)).await;

    let response = call(&client(&format!("http://me:hunter2@{address}/api/"))).await;

    assert_eq!(response.unwrap().status(), 200);
    assert!(!format!("{:?}", only(&capture)).contains("hunter2"));
}

#[tokio::test]
async fn trace_and_baggage_pass_through_all_services() {
    let capture = capture();
    let traced = || from_fn(telemetry::http_server::trace_request);
    let stock = Router::new()
        .route("/stock", get(|| async {}))
        .layer(traced());
    let stock = client(&format!("http://{}", serve(stock).await));
    let shop = get(|| async move {
        telemetry::context::set_attribute("shop.open", true);
        let request = stock.request(Method::GET, "/stock");
        let call = stock.send(request);
        telemetry::context::with_baggage("order.id", "o-1", call)
            .await
            .unwrap();
        telemetry::context::traceresponse().unwrap()
    });
    let shop = serve(Router::new().route("/shop", shop).layer(traced())).await;

    let request = reqwest::Client::new()
        .get(format!("http://{shop}/shop"))
        .header(
            "traceparent",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        )
        .header("baggage", "tier=gold");
    let traceresponse = request.send().await.unwrap().text().await.unwrap();

    let spans = capture.ended();
    let [stock, call, shop] = spans.as_slice() else {
        panic!("three spans expected: {spans:#?}");
    };
    assert_eq!(
        [&stock.name, &call.name, &shop.name],
        ["GET /stock", "GET", "GET /shop"]
    );
    assert_eq!(stock.parent_span_id, call.span_context.span_id());
    assert_eq!(call.parent_span_id, shop.span_context.span_id());
    assert_eq!(shop.parent_span_id.to_string(), "b7ad6b7169203331");
    for span in &spans {
        let trace = span.span_context.trace_id().to_string();
        assert_eq!(trace, "0af7651916cd43dd8448eb211c80319c");
    }
    let order_id = |span| attributes(span).get("order.id").cloned();
    assert_eq!(order_id(stock), Some("o-1".into()));
    assert_eq!(order_id(call), Some("o-1".into()));
    assert_eq!(
        order_id(shop),
        None,
        "the span started before the entry was added"
    );
    assert_eq!(attributes(shop)["shop.open"], true.into());
    assert!(
        !attributes(stock).contains_key("tier"),
        "only named entries are copied"
    );
    let own = shop.span_context.span_id();
    assert_eq!(
        traceresponse,
        format!("00-0af7651916cd43dd8448eb211c80319c-{own}-01")
    );
}

#[tokio::test]
async fn requests_work_without_a_subscriber() {
    let address = serve(
        Router::new()
            .route("/carts", get(|| async {}))
            .layer(from_fn(telemetry::http_server::trace_request)),
    )
    .await;
    let response = call(&client(&format!("http://{address}"))).await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(telemetry::context::trace_id(), None);
    assert_eq!(telemetry::context::traceresponse(), None);
}

async fn call(client: &Client) -> reqwest::Result<reqwest::Response> {
    client.send(client.request(Method::GET, "/carts")).await
}

fn assert_failed(span: &SpanData, error_type: &'static str, message: &str) {
    let found = attributes(span);
    assert_eq!(found["error.type"], error_type.into());
    assert!(!found.contains_key("http.response.status_code"));
    let Status::Error { description } = &span.status else {
        panic!("an error is expected: {span:#?}");
    };
    assert!(
        !description.is_empty() && description.contains(message),
        "{description}"
    );
    assert!(
        !description.contains("/carts"),
        "the URL is recorded as an attribute"
    );
}
