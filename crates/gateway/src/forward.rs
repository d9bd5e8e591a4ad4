//! Passes a request on to the service behind, and its answer back.
//!
//! Only what is named here crosses the door, in either direction: a few request and response headers, and
//! bounded bodies. Everything else that a client sends stays outside, `Authorization` and
//! `Cookie` included, of which the services know nothing. Trace context is not copied: the client
//! span writes its own.
//!
//! Bodies are held in memory, not streamed, so a service that fails halfway is a clear 502 instead of half an
//! answer. How many bytes of answers are held at once is bounded: a client may ask for many lists and read none.

use std::time::Duration;

use axum::body::Bytes;
use axum::http::header::{CONTENT_TYPE, LOCATION, RETRY_AFTER};
use axum::http::{HeaderMap, HeaderName, Method, Uri};
use axum::response::{IntoResponse, Response};
use reqwest::RequestBuilder;
use service::{AnswerBudget, ApiError};
use telemetry::http_client::Client;
use url::Url;

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// Says that an order was placed by an earlier request with the same key.
pub(crate) const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

const REQUEST_HEADERS: [HeaderName; 2] = [CONTENT_TYPE, IDEMPOTENCY_KEY];
const ANSWER_HEADERS: [HeaderName; 4] = [CONTENT_TYPE, LOCATION, RETRY_AFTER, REPLAYED];

/// The longest answer is a list of 100 orders of 100 items each, which is up to 1.5 MB.
const MAX_ANSWER_BYTES: usize = 2 * 1024 * 1024;

/// A service behind the gateway.
#[derive(Clone, Debug)]
pub(crate) struct Upstream {
    name: &'static str,
    client: Client,
    answers: AnswerBudget,
}

impl Upstream {
    /// The service called `name` at `base`. It has `deadline` to answer, body included. `answers` is shared with the
    /// other services behind the gateway.
    pub(crate) fn new(
        name: &'static str,
        base: Url,
        deadline: Duration,
        answers: AnswerBudget,
    ) -> anyhow::Result<Self> {
        let client = Client::new(base, deadline)?;
        Ok(Self {
            name,
            client,
            answers,
        })
    }

    /// Asks the service for `path`, with the query of the client's own address.
    ///
    /// Also when the client asks with HEAD: what that would be answered is only known from the body.
    pub(crate) async fn get(&self, path: &str, asked: &Uri) -> Result<Response, ApiError> {
        let request = self.client.request(Method::GET, &with_query(path, asked));
        self.exchange(request).await
    }

    /// Sends the client's body to `path`, with those of its headers that matter there.
    pub(crate) async fn post(
        &self,
        path: &str,
        asked: &Uri,
        headers: &HeaderMap,
        body: Bytes,
    ) -> Result<Response, ApiError> {
        let request = self
            .client
            .request(Method::POST, &with_query(path, asked))
            .headers(only(&REQUEST_HEADERS, headers))
            .body(body);
        self.exchange(request).await
    }

    async fn exchange(&self, request: RequestBuilder) -> Result<Response, ApiError> {
        let answer = self.client.send(request).await;
        let answer = answer.map_err(|error| self.failed(error))?;
        let (status, headers) = (answer.status(), only(&ANSWER_HEADERS, answer.headers()));
        let body = self.read_answer(answer).await?;
        Ok((status, headers, body).into_response())
    }

    async fn read_answer(&self, mut answer: reqwest::Response) -> Result<Bytes, ApiError> {
        let announced = answer.content_length().unwrap_or(u64::MAX);
        let most = usize::try_from(announced)
            .unwrap_or(usize::MAX)
            .min(MAX_ANSWER_BYTES);
        let room = self.answers.take(most)?;
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(|error| self.failed(error))? {
            if body.len() + chunk.len() > MAX_ANSWER_BYTES {
                tracing::warn!(
                    upstream = self.name,
                    "an answer is too long to be passed on"
                );
                return Err(self.bad_gateway("answered too much"));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(room.keep(body.into()))
    }

    /// No answer came, or not all of it. A client is told which service it was, and whether it is slow
    /// or away; the log has the rest.
    fn failed(&self, error: reqwest::Error) -> ApiError {
        let timed_out = error.is_timeout();
        let error = anyhow::Error::new(error.without_url());
        tracing::warn!(
            upstream = self.name,
            error = format!("{error:#}"),
            "no answer to pass on"
        );
        if timed_out {
            ApiError::gateway_timeout(format!("the {} service took too long", self.name))
        } else {
            self.bad_gateway("could not be reached")
        }
    }

    fn bad_gateway(&self, what: &str) -> ApiError {
        ApiError::bad_gateway(format!("the {} service {what}", self.name))
    }
}

fn with_query(path: &str, asked: &Uri) -> String {
    match asked.query() {
        Some(query) => format!("{path}?{query}"),
        None => path.to_owned(),
    }
}

/// The named headers, each as often as it is there.
fn only(names: &[HeaderName], headers: &HeaderMap) -> HeaderMap {
    let all = |name| headers.get_all(name).into_iter();
    let named = names
        .iter()
        .flat_map(|name| all(name).map(move |value| (name.clone(), value.clone())));
    named.collect()
}
