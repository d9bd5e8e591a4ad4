//! Makes one CLIENT span for each request to another service, and sends the trace context along.
//!
//! The span lasts until the response's headers have arrived, as the semantic conventions say; a failure
//! while the body is read is not a part of it. Redirects are not followed. A request is sent again only if
//! a reused connection turns out to be closed before the server has seen the request; that is still one
//! span.

use std::error::Error;
use std::time::Duration;

use http::{Method, StatusCode};
use opentelemetry::trace::Status;
use opentelemetry_semantic_conventions::attribute::{
    ERROR_TYPE, HTTP_REQUEST_METHOD, HTTP_RESPONSE_STATUS_CODE, SERVER_ADDRESS, SERVER_PORT,
    URL_FULL,
};
use reqwest::{Request, RequestBuilder, Response, redirect};
use tracing::{Instrument, Span};
use tracing_opentelemetry::OpenTelemetrySpanExt;
use url::Url;

use crate::{causes, context, method, redact};

/// Calls one service. Cheap to clone; clones share their connections.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    base: Url,
}

impl Client {
    /// A client for the service at `base`. `timeout` limits a request including the response's body. The
    /// proxy variables of the environment are ignored, because the service is in the same network.
    ///
    /// # Errors
    /// If the HTTP client can't be set up.
    pub fn new(base: Url, timeout: Duration) -> reqwest::Result<Self> {
        let http = reqwest::Client::builder()
            .timeout(timeout)
            .redirect(redirect::Policy::none())
            .no_proxy()
            .build()?;
        Ok(Self { http, base })
    }

    /// Starts a request to `path`, which may have a query. Characters that a URL does not allow are
    /// percent-encoded.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        // With exactly one slash between the two, the path can't become a part of the host.
        let base = self.base.as_str().trim_end_matches('/');
        let path = path.trim_start_matches('/');
        self.http.request(method, format!("{base}/{path}"))
    }

    /// Sends the request inside a CLIENT span, with the trace context in its headers.
    ///
    /// # Errors
    /// If the request is malformed, or no response arrives. A response with an error status is no error.
    pub async fn send(&self, request: RequestBuilder) -> reqwest::Result<Response> {
        let mut request = request.build()?;
        let span = client_span(&request);

        let exchange = async {
            context::inject(request.headers_mut());
            self.http.execute(request).await
        };
        let result = exchange.instrument(span.clone()).await;
        match &result {
            Ok(response) => record_status(&span, response.status()),
            Err(error) => record_error(&span, error),
        }
        result
    }
}

fn client_span(request: &Request) -> Span {
    let url = request.url();
    tracing::info_span!(
        "http.client",
        otel.name = method::in_name(request.method()),
        otel.kind = "client",
        { HTTP_REQUEST_METHOD } = method::attribute(request.method()),
        { SERVER_ADDRESS } = url.host_str(),
        { SERVER_PORT } = url.port_or_known_default().map(i64::from),
        { URL_FULL } = redact::url(url),
    )
}

/// For a client both 4xx and 5xx are failures.
fn record_status(span: &Span, status: StatusCode) {
    span.set_attribute(HTTP_RESPONSE_STATUS_CODE, i64::from(status.as_u16()));
    if status.is_client_error() || status.is_server_error() {
        span.set_attribute(ERROR_TYPE, status.as_str().to_owned());
        span.set_status(Status::error(""));
    }
}

fn record_error(span: &Span, error: &reqwest::Error) {
    span.set_attribute(ERROR_TYPE, error_type(error));
    span.set_status(Status::error(description(error)));
}

fn error_type(error: &reqwest::Error) -> &'static str {
    if error.is_timeout() {
        "timeout"
    } else if error.is_connect() {
        "connect"
    } else if error.is_request() {
        "request"
    } else {
        "_OTHER"
    }
}

/// The causes of the error. The error's own text is left out, because it repeats the URL.
fn description(error: &reqwest::Error) -> String {
    error.source().map(causes::of).unwrap_or_default()
}
