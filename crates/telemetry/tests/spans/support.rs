//! Captured spans, and servers on free ports.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Once;
use std::time::Duration;

use axum::Router;
use opentelemetry::propagation::TextMapCompositePropagator;
use opentelemetry::trace::TracerProvider;
use opentelemetry::{Value, global};
use opentelemetry_sdk::propagation::{BaggagePropagator, TraceContextPropagator};
use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracerProvider, SpanData};
use telemetry::baggage::BaggageAttributes;
use tokio::net::TcpListener;
use tracing::subscriber::DefaultGuard;
use tracing_subscriber::layer::SubscriberExt;

/// Collects the spans of one test. The subscriber is that of this thread, so a test that uses it runs
/// all it does on one: `#[tokio::test]` does by default.
pub(crate) struct Capture {
    exporter: InMemorySpanExporter,
    _subscriber: DefaultGuard,
}

impl Capture {
    pub(crate) fn start() -> Self {
        static PROPAGATOR: Once = Once::new();
        PROPAGATOR.call_once(|| {
            global::set_text_map_propagator(TextMapCompositePropagator::new(vec![
                Box::new(TraceContextPropagator::new()),
                Box::new(BaggagePropagator::new()),
            ]));
        });
        let exporter = InMemorySpanExporter::default();
        let provider = SdkTracerProvider::builder()
            .with_span_processor(BaggageAttributes(&["order.id"]))
            .with_simple_exporter(exporter.clone())
            .build();
        let subscriber =
            tracing_subscriber::registry().with(telemetry::spans::layer(provider.tracer("test")));
        Self {
            exporter,
            _subscriber: tracing::subscriber::set_default(subscriber),
        }
    }

    /// The finished spans, in the order in which they ended.
    pub(crate) fn spans(&self) -> Vec<SpanData> {
        self.exporter
            .get_finished_spans()
            .expect("spans are kept in memory")
    }

    /// The one span that there is.
    pub(crate) fn only(&self) -> SpanData {
        let mut spans = self.spans();
        assert_eq!(spans.len(), 1, "{spans:#?}");
        spans.remove(0)
    }

    /// Waits until `count` spans have ended.
    pub(crate) async fn wait_for(&self, count: usize) -> Vec<SpanData> {
        let waiting = async {
            while self.spans().len() < count {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), waiting)
            .await
            .expect("the spans never ended");
        self.spans()
    }
}

pub(crate) type Attributes = BTreeMap<String, Value>;

/// A span's attributes; none may be there twice.
pub(crate) fn attributes(span: &SpanData) -> Attributes {
    let map: Attributes = span
        .attributes
        .iter()
        .map(|attribute| (attribute.key.to_string(), attribute.value.clone()))
        .collect();
    assert_eq!(
        map.len(),
        span.attributes.len(),
        "an attribute is there twice: {span:#?}"
    );
    map
}

/// What a span is expected to have; the values keep their types.
pub(crate) fn expected<const N: usize>(attributes: [(&str, Value); N]) -> Attributes {
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
