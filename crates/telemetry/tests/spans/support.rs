//! Captures spans, and serves on free ports.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use axum::Router;
use opentelemetry::Value;
use opentelemetry_sdk::trace::SpanData;
use telemetry::testing::Spans;
use tokio::net::TcpListener;

pub(crate) fn capture() -> Spans {
    Spans::capture(&["order.id"])
}

/// The only span.
pub(crate) fn only(capture: &Spans) -> SpanData {
    let mut spans = capture.ended();
    assert_eq!(spans.len(), 1, "{spans:#?}");
    spans.remove(0)
}

/// Expected attributes. Values of different types are not equal.
pub(crate) fn expected<const N: usize>(attributes: [(&str, Value); N]) -> BTreeMap<String, Value> {
    attributes
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value))
        .collect()
}

/// Serves `app` on a free port for as long as the test's runtime lives.
pub(crate) async fn serve(app: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("its address");
    let app = app.into_make_service_with_connect_info::<SocketAddr>();
    tokio::spawn(async move { axum::serve(listener, app).await });
    address
}
