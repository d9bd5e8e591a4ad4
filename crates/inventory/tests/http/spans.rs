//! The spans that a test's requests leave behind.

use std::sync::Once;

use opentelemetry::{
    global,
    propagation::TextMapCompositePropagator,
    trace::{SpanId, TraceId, TracerProvider},
};
use opentelemetry_sdk::{
    propagation::{BaggagePropagator, TraceContextPropagator},
    trace::{InMemorySpanExporter, SdkTracerProvider, SpanData},
};
use reqwest::RequestBuilder;
use telemetry::baggage::BaggageAttributes;
use tracing::subscriber::DefaultGuard;
use tracing_subscriber::layer::SubscriberExt;

/// Keeps the spans of one test. It listens on this thread, on which the whole test runs.
///
/// Every test has one, also where it does not look at them: what a thread without any decides about
/// a kind of span is decided for all.
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

    /// The statements that a request on behalf of an order takes, in their order. Each must be a
    /// child of the request's own span, and be found by the order's id.
    pub(crate) async fn statements(&self, request: RequestBuilder, order: &str) -> Vec<String> {
        let (trace, caller) = (TraceId::from(rand::random::<u128>()), SpanId::from(7));
        let request = request
            .header("traceparent", format!("00-{trace}-{caller}-01"))
            .header("baggage", format!("order.id={order}"));
        request.send().await.unwrap();

        let mut spans = self.exporter.get_finished_spans().unwrap();
        spans.retain(|span| span.span_context.trace_id() == trace);
        spans.retain(|span| attribute(span, "db.query.text").is_some());
        spans.sort_by_key(|span| span.start_time);
        for span in &spans {
            assert_ne!(span.parent_span_id, caller, "{span:#?}");
            assert_eq!(span.parent_span_id, spans[0].parent_span_id, "{span:#?}");
            assert_eq!(attribute(span, "order.id").as_deref(), Some(order));
        }
        spans.iter().map(|span| span.name.to_string()).collect()
    }
}

fn attribute(span: &SpanData, key: &str) -> Option<String> {
    let mut attributes = span.attributes.iter();
    let attribute = attributes.find(|attribute| attribute.key.as_str() == key);
    attribute.map(|attribute| attribute.value.to_string())
}
