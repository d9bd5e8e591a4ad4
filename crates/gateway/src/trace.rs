//! Tells the client which trace its request became, so that a person who sees an error, or an order
//! that takes its time, can look it up.
//!
//! Every answer has a `traceresponse` header (W3C Trace Context Level 3, an editor's draft), and every
//! error names the trace in its body as well, where it survives being copied into a bug report.

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use opentelemetry::trace::SpanContext;
use serde_json::{Map, Value, json};
use telemetry::context::{self, traceresponse_of};

use crate::ClientTrace;

const BAGGAGE: HeaderName = HeaderName::from_static("baggage");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");
const TRACERESPONSE: HeaderName = HeaderName::from_static("traceresponse");

/// An error is a sentence or two; whatever is longer is none of ours.
const MAX_ERROR_BYTES: usize = 16 * 1024;

/// What happens to a request before its span is made, and to the answer after its span has ended.
///
/// A client's `baggage` is removed: it would travel through the whole system, and parts of it become attributes of
/// every span. Its `traceparent` is continued or becomes a link, as configured. To continue it lets a client see its own
/// trace go on here, and lets anybody add spans to a trace whose id they know.
pub(crate) async fn around(
    State(client_trace): State<ClientTrace>,
    mut request: Request,
    next: Next,
) -> Response {
    request.headers_mut().remove(BAGGAGE);
    if client_trace == ClientTrace::Link {
        request.headers_mut().remove(TRACESTATE);
        if let Some(traceparent) = request.headers_mut().remove(TRACEPARENT) {
            request.extensions_mut().insert(LinkTo(traceparent));
        }
    }
    let response = next.run(request).await;
    match response.extensions().get::<SpanContext>().cloned() {
        Some(span) => name_trace(response, &span).await,
        None => response,
    }
}

/// The `traceparent` of a client whose trace is not continued.
#[derive(Clone)]
struct LinkTo(HeaderValue);

/// Links the request's span to the client's, where the client's trace is not continued.
pub(crate) async fn link_to_client(request: Request, next: Next) -> Response {
    let client = request.extensions().get::<LinkTo>();
    if let Some(traceparent) = client.and_then(|client| client.0.to_str().ok()) {
        context::link_to(traceparent);
    }
    next.run(request).await
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
