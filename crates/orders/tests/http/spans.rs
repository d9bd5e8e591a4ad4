//! The spans that a test's requests leave behind.

use std::{collections::BTreeMap, sync::Once, time::Duration};

use opentelemetry::{
    Value, global,
    propagation::TextMapCompositePropagator,
    trace::{TraceId, TracerProvider},
};
use opentelemetry_sdk::{
    propagation::{BaggagePropagator, TraceContextPropagator},
    trace::{InMemorySpanExporter, SdkTracerProvider, SpanData},
};
use telemetry::baggage::BaggageAttributes;
use tracing::subscriber::DefaultGuard;
use tracing_subscriber::layer::SubscriberExt;

/// Keeps the spans of one test. It listens on this thread, on which the whole test runs.
pub(crate) struct Spans {
    exporter: InMemorySpanExporter,
    _subscriber: DefaultGuard,
}

impl Spans {
    pub(crate) fn capture() -> Self {
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
        let layer = telemetry::spans::layer(provider.tracer("test"));
        let subscriber = tracing_subscriber::registry().with(layer);
        Self {
            exporter,
            _subscriber: tracing::subscriber::set_default(subscriber),
        }
    }

    /// All that have ended, in the order in which they did.
    pub(crate) fn ended(&self) -> Vec<SpanData> {
        self.exporter.get_finished_spans().unwrap()
    }

    /// Those that have ended by now and have this name.
    pub(crate) fn named(&self, name: &str) -> Vec<SpanData> {
        let mut spans = self.ended();
        spans.retain(|span| span.name == name);
        spans
    }

    /// Waits for the one span of this name to end.
    pub(crate) async fn wait_for(&self, name: &str) -> SpanData {
        let ended = async {
            while self.named(name).is_empty() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let waited = tokio::time::timeout(Duration::from_secs(60), ended).await;
        waited.unwrap_or_else(|_| panic!("{name} never ended: {:#?}", self.ended()));
        let mut spans = self.named(name);
        assert_eq!(spans.len(), 1, "{spans:#?}");
        spans.remove(0)
    }

    /// Forgets what was so far.
    pub(crate) fn clear(&self) {
        self.exporter.reset();
    }
}

/// A span's attributes; none may be there twice.
pub(crate) fn attributes(span: &SpanData) -> BTreeMap<&str, &Value> {
    let attributes = span.attributes.iter();
    let map: BTreeMap<_, _> = attributes
        .map(|attribute| (attribute.key.as_str(), &attribute.value))
        .collect();
    assert_eq!(
        map.len(),
        span.attributes.len(),
        "one is there twice: {span:#?}"
    );
    map
}

/// A span's `order.id`.
pub(crate) fn order_id(span: &SpanData) -> Option<String> {
    let attributes = attributes(span);
    attributes.get("order.id").map(ToString::to_string)
}

/// A `traceparent` of a caller, and its trace.
pub(crate) fn caller() -> (String, TraceId) {
    let trace = TraceId::from(uuid::Uuid::new_v4().as_u128());
    (format!("00-{trace}-00f067aa0ba902b7-01"), trace)
}
