//! Tells the client which trace its request became, so that a person who sees an error, or an order
//! that takes its time, can look it up.
//!
//! Every answer has a `traceresponse` header (W3C Trace Context Level 3, an editor's draft), and every
//! error names the trace in its body as well, where it survives being copied into a bug report.

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::Request;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use opentelemetry::trace::SpanContext;
use serde_json::{Map, Value, json};
use telemetry::context::traceresponse_of;

const BAGGAGE: HeaderName = HeaderName::from_static("baggage");
const TRACERESPONSE: HeaderName = HeaderName::from_static("traceresponse");

/// An error is a sentence or two; whatever is longer is none of ours.
const MAX_ERROR_BYTES: usize = 16 * 1024;

/// What happens to a request before its span is made, and to the answer after its span has ended.
///
/// A stranger's `traceparent` is honoured, its `baggage` is not: that would travel through the whole
/// system, and parts of it become attributes of every span.
pub(crate) async fn around(mut request: Request, next: Next) -> Response {
    request.headers_mut().remove(BAGGAGE);
    let response = next.run(request).await;
    match response.extensions().get::<SpanContext>().cloned() {
        Some(span) => name_trace(response, &span).await,
        None => response,
    }
}

async fn name_trace(response: Response, span: &SpanContext) -> Response {
    let status = response.status();
    let mut response = if status.is_client_error() || status.is_server_error() {
        name_in_body(response, span).await
    } else {
        response
    };
    if let Ok(value) = HeaderValue::try_from(traceresponse_of(span)) {
        response.headers_mut().insert(TRACERESPONSE, value);
    }
    response
}

async fn name_in_body(response: Response, span: &SpanContext) -> Response {
    let (mut parts, body) = response.into_parts();
    let body = to_bytes(body, MAX_ERROR_BYTES).await.unwrap_or_default();
    let mut error = parse(&body).unwrap_or_else(|| describe(parts.status));
    error.insert("trace_id".to_owned(), json!(span.trace_id().to_string()));

    parts.headers.remove(CONTENT_LENGTH);
    parts
        .headers
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    (parts, Body::from(Value::Object(error).to_string())).into_response()
}

/// An error as our services give it.
fn parse(body: &Bytes) -> Option<Map<String, Value>> {
    let error: Map<String, Value> = serde_json::from_slice(body).ok()?;
    error.get("error")?.is_string().then_some(error)
}

/// Anything else is put in our words: it may be a library's, and not be meant for clients.
fn describe(status: StatusCode) -> Map<String, Value> {
    let reason = status.canonical_reason().unwrap_or("unknown error");
    Map::from_iter([("error".to_owned(), json!(reason.to_lowercase()))])
}
