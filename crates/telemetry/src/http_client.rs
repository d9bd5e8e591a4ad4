//! One CLIENT span for each request to another service, whose trace goes along in the headers.
//!
//! The span lasts until the response's headers have come, which is where the conventions let it end; a
//! failure while the body is read shows in the caller. There is one span per attempt: redirects are not
//! followed, and nothing is tried again behind the caller's back.

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

/// Calls one other service. Cheap to clone; clones share their connections.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    base: Url,
}

impl Client {
    /// A client for the service at `base`. A request takes `timeout` at most, its body included. Proxy
    /// variables of the environment are ignored: this is for services next to each other.
    ///
    /// # Errors
    /// If the HTTP client can't be set up, which is to say never on a sane machine.
    pub fn new(base: Url, timeout: Duration) -> reqwest::Result<Self> {
        let http = reqwest::Client::builder()
            .timeout(timeout)
            .redirect(redirect::Policy::none())
            .no_proxy()
            .build()?;
        Ok(Self { http, base })
    }

    /// Starts a request to `path`, which may have a query, and is percent-encoded where it has to be.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        // Exactly one slash between the two, or a path could become a part of the host.
        let base = self.base.as_str().trim_end_matches('/');
        let path = path.trim_start_matches('/');
        self.http.request(method, format!("{base}/{path}"))
    }

    /// Sends the request inside a CLIENT span, with the trace context in its headers.
    ///
    /// # Errors
    /// If the request is malformed, or no response came. An error status is a response.
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

/// For a client a 4xx is a failure as much as a 5xx: it did not get what it asked for.
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

/// The error's causes without the error itself, whose text repeats the URL.
fn description(error: &reqwest::Error) -> String {
    error.source().map(causes::of).unwrap_or_default()
}
