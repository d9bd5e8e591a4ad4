//! Captures the spans of a test in memory. Behind the feature `testing`, for the tests of crates that make
//! spans with this one.
//!
//! The subscriber is set for the test's thread only, so that parallel tests do not see each other's
//! spans. The code under test has to run on that thread, as it does under `#[tokio::test]`.
//!
//! Functions panic instead of returning errors.

use std::{collections::BTreeMap, sync::Once, time::Duration};

use opentelemetry::{
    Value, global,
    propagation::TextMapCompositePropagator,
    trace::{TraceId, TracerProvider as _},
};
use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracerProvider, SpanData};
use reqwest::RequestBuilder;
use tracing::subscriber::DefaultGuard;
use tracing_subscriber::layer::SubscriberExt;
use uuid::Uuid;

use crate::{
    baggage::BaggageAttributes,
    spans,
    w3c::{BaggagePropagator, TraceContextPropagator},
};

/// How often [`Spans::wait_until`] checks its condition.
const POLL_INTERVAL: Duration = Duration::from_millis(5);

/// Captures the spans of one test.
///
/// Each test of a program needs one, also a test that does not look at spans: `tracing` caches for the
/// whole process whether a callsite is enabled, so a thread without a subscriber could disable the spans
/// of another test.
#[derive(Debug)]
pub struct Spans {
    exporter: InMemorySpanExporter,
    provider: SdkTracerProvider,
    _subscriber: DefaultGuard,
}

impl Spans {
    /// Captures the spans that end from now on, until the value is dropped. The named baggage entries become
    /// attributes.
    #[must_use]
    pub fn capture(baggage_attributes: &'static [&'static str]) -> Self {
        static PROPAGATOR: Once = Once::new();
        PROPAGATOR.call_once(|| {
            global::set_text_map_propagator(TextMapCompositePropagator::new(vec![
                Box::new(TraceContextPropagator),
                Box::new(BaggagePropagator),
            ]));
        });
        let exporter = InMemorySpanExporter::default();
        let provider = SdkTracerProvider::builder()
            .with_span_processor(BaggageAttributes(baggage_attributes))
            .with_simple_exporter(exporter.clone())
            .build();
        let layer = spans::layer(provider.tracer("test"));
        let subscriber = tracing_subscriber::registry().with(layer);
        Self {
            exporter,
            provider,
            _subscriber: tracing::subscriber::set_default(subscriber),
        }
    }

    /// What makes the spans, for code that takes a tracer provider and does not go through `tracing`.
    #[must_use]
    pub fn provider(&self) -> &SdkTracerProvider {
        &self.provider
    }

    /// All spans that have ended, in the order of their ends.
    ///
    /// # Panics
    /// Never, because the exporter is not shut down.
    #[must_use]
    pub fn ended(&self) -> Vec<SpanData> {
        let spans = self.exporter.get_finished_spans();
        spans.expect("spans that are kept in memory")
    }

    /// The ended spans with this name.
    #[must_use]
    pub fn named(&self, name: &str) -> Vec<SpanData> {
        let mut spans = self.ended();
        spans.retain(|span| span.name == name);
        spans
    }

    /// Waits until `complete` is true of the ended spans, and returns them.
    ///
    /// # Panics
    /// If that takes longer than `limit`.
    pub async fn wait_until(
        &self,
        limit: Duration,
        complete: impl Fn(&[SpanData]) -> bool,
    ) -> Vec<SpanData> {
        let waiting = async {
            while !complete(&self.ended()) {
                tokio::time::sleep(POLL_INTERVAL).await;
            }
        };
        let waited = tokio::time::timeout(limit, waiting).await;
        assert!(waited.is_ok(), "spans never ended: {:#?}", self.ended());
        self.ended()
    }

    /// Forgets the spans that have ended so far.
    pub fn clear(&self) {
        self.exporter.reset();
    }

    /// The SQL statements of a trace, in the order of their starts.
    #[must_use]
    pub fn statements_of(&self, trace: TraceId) -> Vec<SpanData> {
        let mut spans = self.ended();
        spans.retain(|span| span.span_context.trace_id() == trace);
        spans.retain(|span| attributes(span).contains_key("db.query.text"));
        spans.sort_by_key(|span| span.start_time);
        spans
    }

    /// Sends a request with a `traceparent` and one baggage entry, and returns the names of the SQL
    /// statements that the server runs for it. All statements must be children of the same span on the
    /// server, and have the entry as an attribute.
    ///
    /// # Panics
    /// If a statement is not such a child, or if the request gets no response.
    pub async fn statements_on_behalf_of(
        &self,
        (key, value): (&str, &str),
        request: RequestBuilder,
    ) -> Vec<String> {
        let (traceparent, trace) = caller();
        let request = request
            .header("traceparent", &traceparent)
            .header("baggage", format!("{key}={value}"));
        request.send().await.expect("an answer");
        let spans = self.statements_of(trace);
        for span in &spans {
            let parent = span.parent_span_id.to_string();
            assert!(!traceparent.contains(&parent), "{span:#?}");
            assert_eq!(span.parent_span_id, spans[0].parent_span_id, "{span:#?}");
            let found = attributes(span).get(key).map(ToString::to_string);
            assert_eq!(found.as_deref(), Some(value), "{span:#?}");
        }
        spans.iter().map(|span| span.name.to_string()).collect()
    }
}

/// A span's attributes.
///
/// # Panics
/// If a key occurs twice.
#[must_use]
pub fn attributes(span: &SpanData) -> BTreeMap<String, Value> {
    let attributes = span.attributes.iter();
    let map: BTreeMap<_, _> = attributes
        .map(|attribute| (attribute.key.to_string(), attribute.value.clone()))
        .collect();
    let count = span.attributes.len();
    assert_eq!(map.len(), count, "a key occurs twice: {span:#?}");
    map
}

/// The `traceparent` of a caller, and the id of its trace. Each call makes a new trace.
#[must_use]
pub fn caller() -> (String, TraceId) {
    let trace = TraceId::from(Uuid::new_v4().as_u128());
    (format!("00-{trace}-00f067aa0ba902b7-01"), trace)
}
