//! The trace that the running code belongs to: reading its ids, adding to its span, passing baggage on.
//!
//! All of it goes through the current OpenTelemetry context, which follows the `tracing` span that is
//! entered. Outside of any span there is nothing to read, and nothing happens.

use std::collections::HashMap;
use std::future::Future;

use http::HeaderMap;
use opentelemetry::baggage::{Baggage, BaggageExt};
use opentelemetry::context::FutureExt;
use opentelemetry::propagation::TextMapPropagator;
use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt, TraceId};
use opentelemetry::{Context, Key, KeyValue, Value, global};
use opentelemetry_http::{HeaderExtractor, HeaderInjector};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tracing_opentelemetry::{OpenTelemetrySpanExt, SetParentError};

/// The id of the current trace.
#[must_use]
pub fn trace_id() -> Option<TraceId> {
    current().map(|span| span.trace_id())
}

/// The id of the current span.
#[must_use]
pub fn span_id() -> Option<SpanId> {
    current().map(|span| span.span_id())
}

/// The value of a `traceresponse` header, which tells a caller the trace that its request became a part
/// of. The header is in the editor's draft of W3C Trace Context Level 3, and may still change.
#[must_use]
pub fn traceresponse() -> Option<String> {
    current().as_ref().map(traceresponse_of)
}

/// The same for a span that is not the current one; see [`crate::http_server::trace_request`].
#[must_use]
pub fn traceresponse_of(span: &SpanContext) -> String {
    let (trace, id, flags) = (span.trace_id(), span.span_id(), span.trace_flags());
    format!("00-{trace}-{id}-{flags:02x}")
}

/// Sets an attribute of the current span, also if it is one that only became known after the start.
pub fn set_attribute(key: impl Into<Key>, value: impl Into<Value>) {
    Context::map_current(|context| {
        context.span().set_attribute(KeyValue::new(key, value));
    });
}

/// Links the current span to another one, which is named as in a `traceparent`: another trace that has
/// to do with this one. What names none links nothing.
pub fn link_to(traceparent: &str) {
    let carrier = HashMap::from([("traceparent".to_owned(), traceparent.to_owned())]);
    let other = TraceContextPropagator::new().extract_with_context(&Context::new(), &carrier);
    let other = other.span().span_context().clone();
    if other.is_valid() {
        Context::map_current(|context| context.span().add_link(other, vec![]));
    }
}

/// Runs `future` with one more baggage entry. The spans that it starts see the entry (see
/// [`crate::baggage`]), and so do the processes that it calls; the span around it does not.
pub async fn with_baggage<F: Future>(
    key: impl Into<Key>,
    value: impl Into<opentelemetry::StringValue>,
    future: F,
) -> F::Output {
    let context = Context::current();
    let mut baggage = Baggage::new();
    for (key, (value, metadata)) in context.baggage() {
        baggage.insert_with_metadata(key.clone(), value.clone(), metadata.clone());
    }
    baggage.insert(key, value);
    future.with_context(context.with_baggage(baggage)).await
}

/// The caller's context, as the configured propagators find it in a request's headers.
pub(crate) fn extract(headers: &HeaderMap) -> Context {
    global::get_text_map_propagator(|propagator| propagator.extract(&HeaderExtractor(headers)))
}

/// Writes the current context into a request's headers. Entries that are there are replaced.
pub(crate) fn inject(headers: &mut HeaderMap) {
    global::get_text_map_propagator(|propagator| {
        propagator.inject(&mut HeaderInjector(headers));
    });
}

/// Makes `parent` the parent of a span that was made but not entered yet.
pub(crate) fn set_parent(span: &tracing::Span, parent: Context) {
    match span.set_parent(parent) {
        // Without our layer, or with the span filtered out, there is no span to have a parent.
        Ok(()) | Err(SetParentError::LayerNotFound | SetParentError::SpanDisabled) => {}
        // From here on the span is in a trace of its own: a mistake of the caller's.
        Err(error @ SetParentError::AlreadyStarted) => {
            tracing::error!(%error, "a trace is torn apart here");
        }
    }
}

/// The ids of a span that may have been left already; none if it is switched off.
pub(crate) fn of(span: &tracing::Span) -> Option<SpanContext> {
    let span = span.context().span().span_context().clone();
    Some(span).filter(SpanContext::is_valid)
}

fn current() -> Option<SpanContext> {
    let span = Context::map_current(|context| context.span().span_context().clone());
    Some(span).filter(SpanContext::is_valid)
}
