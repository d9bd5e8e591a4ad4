//! Reads and extends the trace of the running code: its ids, the attributes of its span, its baggage.
//!
//! The functions use the current OpenTelemetry context, which follows the entered `tracing` span. Outside
//! of any span they return `None` or do nothing.

use std::future::Future;

use http::HeaderMap;
use opentelemetry::baggage::{Baggage, BaggageExt};
use opentelemetry::context::FutureExt;
use opentelemetry::propagation::Extractor;
use opentelemetry::trace::{SpanContext, TraceContextExt, TraceId};
use opentelemetry::{Context, Key, KeyValue, Value, global};
use opentelemetry_http::HeaderInjector;
use tracing_opentelemetry::{OpenTelemetrySpanExt, SetParentError};

use crate::w3c;

/// The id of the current trace.
#[must_use]
pub fn trace_id() -> Option<TraceId> {
    let id = Context::map_current(|context| context.span().span_context().trace_id());
    Some(id).filter(|id| *id != TraceId::INVALID)
}

/// The value of a `traceresponse` header, which names to a caller the trace that its request became a
/// part of. The header is in the editor's draft of W3C Trace Context Level 3, and may still change.
#[must_use]
pub fn traceresponse() -> Option<String> {
    let current = Context::map_current(w3c::outgoing_span_context);
    current.as_ref().map(traceresponse_of)
}

/// The same for a span that is not the current one; see [`crate::http_server::trace_request`].
#[must_use]
pub fn traceresponse_of(span: &SpanContext) -> String {
    w3c::format_traceparent(span)
}

/// Sets an attribute of the current span, also if its value became known only after the span's start.
pub fn set_attribute(key: impl Into<Key>, value: impl Into<Value>) {
    Context::map_current(|context| {
        context.span().set_attribute(KeyValue::new(key, value));
    });
}

/// Links the current span to the span of another trace, which a `traceparent` names. A malformed
/// `traceparent` is ignored.
pub fn link_to(traceparent: &str) {
    if let Some(other) = w3c::parse_traceparent(traceparent) {
        Context::map_current(|context| context.span().add_link(other, vec![]));
    }
}

/// Runs `future` with one more baggage entry. The entry is visible to the spans that `future` starts (see
/// [`crate::baggage`]) and to the processes that it calls, but not to the span around it.
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
///
/// It contains nothing of the current context: a request without a valid `traceparent` starts a new
/// trace, even if the task that serves the connection runs in some span.
pub(crate) fn extract(headers: &HeaderMap) -> Context {
    global::get_text_map_propagator(|propagator| {
        propagator.extract_with_context(&Context::new(), &Headers(headers))
    })
}

/// Writes the current context into a request's headers.
///
/// Every header that the propagators may write is removed first: a `tracestate` that a request was
/// given before must not travel on beside the new `traceparent`.
pub(crate) fn inject(headers: &mut HeaderMap) {
    global::get_text_map_propagator(|propagator| {
        for field in propagator.fields() {
            headers.remove(field);
        }
        propagator.inject(&mut HeaderInjector(headers));
    });
}

/// Makes `parent` the parent of a span that has not been entered yet.
pub(crate) fn set_parent(span: &tracing::Span, parent: Context) {
    match span.set_parent(parent) {
        // Without our layer, or with the span filtered out, there is no span to have a parent.
        Ok(()) | Err(SetParentError::LayerNotFound | SetParentError::SpanDisabled) => {}
        Err(error @ SetParentError::AlreadyStarted) => {
            tracing::error!(%error, "the caller's trace ends here: the parent was set too late");
        }
    }
}

/// The ids and flags of a span that may have ended; `None` if the span is disabled.
pub(crate) fn span_context(span: &tracing::Span) -> Option<SpanContext> {
    w3c::outgoing_span_context(&span.context())
}

/// Reads headers for a propagator. A value that is not ASCII text counts as an empty one;
/// `opentelemetry_http::HeaderExtractor` skips it, and would hide a second `traceparent`.
struct Headers<'a>(&'a HeaderMap);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.get_all(key)?.first().copied()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(http::HeaderName::as_str).collect()
    }

    fn get_all(&self, key: &str) -> Option<Vec<&str>> {
        let values = self.0.get_all(key).into_iter();
        let values: Vec<_> = values
            .map(|value| value.to_str().unwrap_or_default())
            .collect();
        Some(values).filter(|values| !values.is_empty())
    }
}
