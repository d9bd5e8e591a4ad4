//! One SERVER span for each request that an axum router handles.
//!
//! The span is named after the route, not the path, of which there are endlessly many. It lasts until the
//! handler has answered; a body that is streamed afterwards is not a part of it. If the client goes away
//! and the handler is dropped, the span ends there, without a status code.
//!
//! No header is recorded but `User-Agent` and `Host`: others carry credentials. Forwarding headers
//! (`X-Forwarded-For` and its like) are not believed, since anyone can send them: `client.address` is the
//! peer's, and appears if the server runs with `into_make_service_with_connect_info::<SocketAddr>()`.

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

/// Handles the request inside its span, which is a child of the caller's if there is a valid
/// `traceparent`.
///
/// To be added with `Router::layer(axum::middleware::from_fn(trace_request))`, after the routes: a layer
/// sees only the routes that were there before it, and knows which one was matched.
///
/// The response has the span's `SpanContext` among its extensions, for layers further out: they may
/// want to name the trace, also of an answer that no handler has given.
pub async fn trace_request(request: Request, next: Next) -> Response {
    let span = server_span(&request);
    // Before the span is entered for the first time: afterwards its parent is settled.
    context::set_parent(&span, context::extract(request.headers()));

    let mut response = next.run(request).instrument(span.clone()).await;
    record_status(&span, response.status());
    if let Some(context) = context::of(&span) {
        response.extensions_mut().insert(context);
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

/// Whom the client believes to talk to.
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

/// A 4xx is the client's failure, not the server's: its status stays unset. The code says all that a
/// description could.
fn record_status(span: &Span, status: StatusCode) {
    span.set_attribute(HTTP_RESPONSE_STATUS_CODE, i64::from(status.as_u16()));
    if status.is_server_error() {
        span.set_attribute(ERROR_TYPE, status.as_str().to_owned());
        span.set_status(Status::error(""));
    }
}
