//! The spans that a test leaves behind, kept in memory. With the feature `testing`, for the tests of
//! whoever makes spans with this crate.
//!
//! The subscriber is that of the test's own thread, so that tests side by side do not see each other's
//! spans; what a test does has to run on that thread, as it does under `#[tokio::test]`.
//!
//! What can't go on panics: these are tests.

use std::{collections::BTreeMap, sync::Once, time::Duration};

use opentelemetry::{
    Value, global,
    propagation::TextMapCompositePropagator,
    trace::{TraceId, TracerProvider as _},
};
use opentelemetry_sdk::{
    propagation::{BaggagePropagator, TraceContextPropagator},
    trace::{InMemorySpanExporter, SdkTracerProvider, SpanData},
};
use reqwest::RequestBuilder;
use tracing::subscriber::DefaultGuard;
use tracing_subscriber::layer::SubscriberExt;
use uuid::Uuid;

use crate::{baggage::BaggageAttributes, spans};

/// How often it is looked whether a span has ended.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// Keeps the spans of one test.
///
/// Every test of a program has one, also where it does not look at them: what a thread without any
/// decides about a kind of span is decided for all.
#[derive(Debug)]
pub struct Spans {
    exporter: InMemorySpanExporter,
    provider: SdkTracerProvider,
    _subscriber: DefaultGuard,
}

impl Spans {
    /// Keeps what ends from now on, until this is dropped. These baggage entries become attributes.
    #[must_use]
    pub fn capture(baggage_attributes: &'static [&'static str]) -> Self {
        static PROPAGATOR: Once = Once::new();
        PROPAGATOR.call_once(|| {
            global::set_text_map_propagator(TextMapCompositePropagator::new(vec![
                Box::new(TraceContextPropagator::new()),
                Box::new(BaggagePropagator::new()),
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

    /// All that have ended, in the order in which they did.
    ///
    /// # Panics
    /// Never: nobody shuts the exporter down.
    #[must_use]
    pub fn ended(&self) -> Vec<SpanData> {
        let spans = self.exporter.get_finished_spans();
        spans.expect("spans that are kept in memory")
    }

    /// Those that have ended by now and have this name.
    #[must_use]
    pub fn named(&self, name: &str) -> Vec<SpanData> {
        let mut spans = self.ended();
        spans.retain(|span| span.name == name);
        spans
    }

    /// Waits until what has ended is all that is wanted.
    ///
    /// # Panics
    /// It is not, within the limit.
    pub async fn wait_until(
        &self,
        limit: Duration,
        complete: impl Fn(&[SpanData]) -> bool,
    ) -> Vec<SpanData> {
        let waiting = async {
            while !complete(&self.ended()) {
                tokio::time::sleep(LOOK_EVERY).await;
            }
        };
        let waited = tokio::time::timeout(limit, waiting).await;
        assert!(waited.is_ok(), "spans never ended: {:#?}", self.ended());
        self.ended()
    }

    /// Forgets what was so far.
    pub fn clear(&self) {
        self.exporter.reset();
    }

    /// The statements of a trace, in the order in which they began.
    #[must_use]
    pub fn statements_of(&self, trace: TraceId) -> Vec<SpanData> {
        let mut spans = self.ended();
        spans.retain(|span| span.span_context.trace_id() == trace);
        spans.retain(|span| attributes(span).contains_key("db.query.text"));
        spans.sort_by_key(|span| span.start_time);
        spans
    }

    /// The names of the statements that a request takes, which comes with an entry of baggage. Each must
    /// be a child of one span, that of the request on the server, and have the entry as an attribute.
    ///
    /// # Panics
    /// One is not, or the request has no answer.
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
/// One is there twice.
#[must_use]
pub fn attributes(span: &SpanData) -> BTreeMap<String, Value> {
    let attributes = span.attributes.iter();
    let map: BTreeMap<_, _> = attributes
        .map(|attribute| (attribute.key.to_string(), attribute.value.clone()))
        .collect();
    let count = span.attributes.len();
    assert_eq!(map.len(), count, "one is there twice: {span:#?}");
    map
}

/// The `traceparent` of a caller, and its trace, which nobody else has.
#[must_use]
pub fn caller() -> (String, TraceId) {
    let trace = TraceId::from(Uuid::new_v4().as_u128());
    (format!("00-{trace}-00f067aa0ba902b7-01"), trace)
}
