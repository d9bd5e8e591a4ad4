//! Makes one SERVER span for each request that an axum router handles.
//!
//! The span is named after the route, because there is no limit to the number of paths. It lasts until the
//! handler has answered; a body that is streamed afterwards is not a part of it. If the client disconnects
//! and the handler is dropped, the span ends there, without a status code.
//!
//! Of the headers only `User-Agent` and `Host` are recorded, because others carry credentials. Forwarding
//! headers (`X-Forwarded-For` and the like) are ignored, because every client can send them:
//! `client.address` is the peer's address. It is recorded if the server runs with
//! `into_make_service_with_connect_info::<SocketAddr>()`.

use std::net::SocketAddr;

use axum::extract::{ConnectInfo, MatchedPath, Request};
use axum::middleware::Next;
use axum::response::Response;
use http::uri::Authority;
use http::{HeaderMap, StatusCode, Version, header};
use opentelemetry::trace::Status;
use opentelemetry_semantic_conventions::attribute::{
    CLIENT_ADDRESS, ERROR_TYPE, HTTP_REQUEST_METHOD, HTTP_RESPONSE_STATUS_CODE, HTTP_ROUTE,
    NETWORK_PROTOCOL_VERSION, SERVER_ADDRESS, SERVER_PORT, URL_PATH, URL_QUERY, URL_SCHEME,
    USER_AGENT_ORIGINAL,
};
use tracing::{Instrument, Span};
use tracing_opentelemetry::OpenTelemetrySpanExt;

use crate::{context, method, redact};

/// Handles the request inside a span, which is a child of the caller's span if the request has a valid
/// `traceparent`.
///
/// Add it with `Router::layer(axum::middleware::from_fn(trace_request))` after the routes. A layer applies
/// only to routes that were added before it, and only there it knows which route was matched.
///
/// The response carries the span's `SpanContext` as an extension, so that outer layers can name the trace,
/// for example in a response to an unknown path.
pub async fn trace_request(request: Request, next: Next) -> Response {
    let span = server_span(&request);
    // The parent must be set before the span is entered; entering starts the span.
    context::set_parent(&span, context::extract(request.headers()));

    let mut response = next.run(request).instrument(span.clone()).await;
    record_status(&span, response.status());
    if let Some(span_context) = context::span_context(&span) {
        response.extensions_mut().insert(span_context);
    }
    response
}

fn server_span(request: &Request) -> Span {
    let route = request.extensions().get::<MatchedPath>();
    let route = route.map(MatchedPath::as_str);
    let client = request.extensions().get::<ConnectInfo<SocketAddr>>();
    let server = server(request);
    let query = request.uri().query().filter(|query| !query.is_empty());

    tracing::info_span!(
        "http.server",
        otel.name = span_name(request, route),
        otel.kind = "server",
        { HTTP_REQUEST_METHOD } = method::attribute(request.method()),
        { HTTP_ROUTE } = route,
        { URL_SCHEME } = request.uri().scheme_str().unwrap_or("http"),
        { URL_PATH } = request.uri().path(),
        { URL_QUERY } = query.map(redact::query),
        { SERVER_ADDRESS } = server.as_ref().map(Authority::host),
        { SERVER_PORT } = server.as_ref().and_then(Authority::port_u16).map(i64::from),
        { CLIENT_ADDRESS } = client.map(|client| client.ip().to_string()),
        { NETWORK_PROTOCOL_VERSION } = protocol_version(request.version()),
        { USER_AGENT_ORIGINAL } = text(request.headers(), &header::USER_AGENT),
    )
}

fn span_name(request: &Request, route: Option<&str>) -> String {
    let method = method::in_name(request.method());
    match route {
        Some(route) => format!("{method} {route}"),
        None => method.to_owned(),
    }
}

/// Host and port as the client named them, in the request target or in `Host`.
fn server(request: &Request) -> Option<Authority> {
    match request.uri().authority() {
        Some(authority) => Some(authority.clone()),
        None => text(request.headers(), &header::HOST)?.parse().ok(),
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &header::HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn protocol_version(version: Version) -> Option<&'static str> {
    match version {
        Version::HTTP_10 => Some("1.0"),
        Version::HTTP_11 => Some("1.1"),
        Version::HTTP_2 => Some("2"),
        Version::HTTP_3 => Some("3"),
        _ => None,
    }
}

/// Only a 5xx is a failure of the server; after a 4xx the span's status stays unset. A description would
/// only repeat the code.
fn record_status(span: &Span, status: StatusCode) {
    span.set_attribute(HTTP_RESPONSE_STATUS_CODE, i64::from(status.as_u16()));
    if status.is_server_error() {
        span.set_attribute(ERROR_TYPE, status.as_str().to_owned());
        span.set_status(Status::error(""));
    }
}
