//! A gateway on a free port, the services behind it, a client that sends what it is told, and the
//! spans of it all.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use gateway::{ClientTrace, GatewayArgs};
use opentelemetry_sdk::trace::SpanData;
use service::Limits;
use telemetry::{testing::Spans, w3c::parse_traceparent};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::{CancellationToken, DropGuard};
use url::Url;

/// Longer than any test: where a deadline is not the point, it decides nothing.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// More than spans take to end that do.
const SOON: Duration = Duration::from_secs(20);

/// What a service was asked.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// What a service answers.
pub(crate) type Answer = (StatusCode, Vec<(&'static str, String)>, String);

pub(crate) fn json(status: u16, body: &str) -> Answer {
    let json = ("content-type", "application/json".to_owned());
    (
        StatusCode::from_u16(status).unwrap(),
        vec![json],
        body.to_owned(),
    )
}

/// A service that gives one answer to everything, and remembers what it was asked.
#[derive(Clone)]
pub(crate) struct Upstream {
    pub(crate) address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Upstream {
    pub(crate) async fn answering(answer: Answer) -> Self {
        let asked = Arc::default();
        let app = Router::new()
            .fallback(record)
            .with_state((Arc::clone(&asked), Arc::new(answer)));
        Self {
            address: serve(app).await,
            asked,
        }
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    /// The one request that came.
    pub(crate) fn only(&self) -> Asked {
        let mut asked = self.asked();
        assert_eq!(asked.len(), 1, "{asked:#?}");
        asked.remove(0)
    }
}

type Recorder = (Arc<Mutex<Vec<Asked>>>, Arc<Answer>);

async fn record(State((asked, answer)): State<Recorder>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap();
    asked.lock().unwrap().push(Asked {
        method: parts.method.to_string(),
        target: parts.uri.to_string(),
        headers: parts.headers,
        body,
    });
    let (status, headers, body) = answer.as_ref().clone();
    let mut response = (status, body).into_response();
    response.headers_mut().remove(header::CONTENT_TYPE);
    for (name, value) in headers {
        response.headers_mut().append(name, value.parse().unwrap());
    }
    response
}

async fn serve(app: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
    address
}

/// An address where nobody listens.
pub(crate) async fn nobody() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap()
}

/// A gateway that stops with the test, and the spans of whatever it does.
pub(crate) struct Gateway {
    pub(crate) address: SocketAddr,
    spans: Spans,
    _stop: DropGuard,
}

impl Gateway {
    /// In front of one service that is both.
    pub(crate) async fn before(upstream: &Upstream) -> Self {
        Self::between(upstream.address, upstream.address).await
    }

    pub(crate) async fn between(orders: SocketAddr, inventory: SocketAddr) -> Self {
        Self::within(Limits::default(), DEADLINE, orders, inventory).await
    }

    pub(crate) async fn within(
        limits: Limits,
        deadline: Duration,
        orders: SocketAddr,
        inventory: SocketAddr,
    ) -> Self {
        Self::configured(ClientTrace::default(), limits, deadline, orders, inventory).await
    }

    /// That links to a client's trace instead of continuing it.
    pub(crate) async fn linking(upstream: &Upstream) -> Self {
        let address = upstream.address;
        Self::configured(
            ClientTrace::Link,
            Limits::default(),
            DEADLINE,
            address,
            address,
        )
        .await
    }

    async fn configured(
        client_trace: ClientTrace,
        limits: Limits,
        deadline: Duration,
        orders: SocketAddr,
        inventory: SocketAddr,
    ) -> Self {
        let spans = Spans::capture(&["order.id"]);
        let url = |address| Url::parse(&format!("http://{address}")).unwrap();
        let config = GatewayArgs {
            orders_service_url: url(orders),
            inventory_service_url: url(inventory),
            allowed_hosts: vec!["gateway".to_owned()],
            trace_url: "http://viewer.test/trace/".parse().unwrap(),
            client_trace,
        };
        let app = gateway::app_with_limits(config, limits, deadline).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shutdown = CancellationToken::new();
        tokio::spawn(service::serve(listener, app, shutdown.clone()));
        Self {
            address,
            spans,
            _stop: shutdown.drop_guard(),
        }
    }

    /// Waits until `N` spans have ended, and no more; then they are in the order in which they did.
    pub(crate) async fn ended<const N: usize>(&self) -> [SpanData; N] {
        let ended = self.spans.wait_until(SOON, |ended| ended.len() >= N).await;
        ended.try_into().expect("no more spans than expected")
    }

    pub(crate) async fn get(&self, target: &str) -> Answered {
        self.send(&format!("GET {target}"), &[], "").await
    }

    pub(crate) async fn send(&self, line: &str, headers: &[(&str, &str)], body: &str) -> Answered {
        let length = body.len().to_string();
        let length = [("Content-Length", length.as_str())];
        let headers = [headers, if body.is_empty() { &[] } else { &length }].concat();
        self.send_as_it_is(line, &headers, body).await
    }

    /// Sends a request line, headers and body and nothing else, but for a `Host` if there is none. An
    /// ordinary client would tidy up a path before anyone sees it.
    pub(crate) async fn send_as_it_is(
        &self,
        line: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Answered {
        let mut head = format!("{line} HTTP/1.1\r\nConnection: close\r\n");
        if !headers.iter().any(|(name, _)| *name == "Host") {
            head += &format!("Host: {}\r\n", self.address);
        }
        for (name, value) in headers {
            head += &format!("{name}: {value}\r\n");
        }
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        // A body that is refused may not be read to its end; what counts is the answer.
        let _ = stream
            .write_all(format!("{head}\r\n{body}").as_bytes())
            .await;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        Answered::parse(&answer)
    }
}

/// What the client was answered.
#[derive(Debug)]
pub(crate) struct Answered {
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Answered {
    fn parse(answer: &[u8]) -> Self {
        let answer = String::from_utf8(answer.to_vec()).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").expect("a whole answer");
        let mut lines = head.split("\r\n");
        let status = lines.next().unwrap().split(' ').nth(1).unwrap();
        let headers = lines.map(|line| line.split_once(": ").unwrap());
        Self {
            status: status.parse().unwrap(),
            headers: headers
                .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
                .collect(),
            body: body.to_owned(),
        }
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut named = self.headers.iter().filter(|(other, _)| other == name);
        let value = named.next().map(|(_, value)| value.as_str());
        assert!(named.next().is_none(), "{name} is there twice: {self:#?}");
        value
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        assert_eq!(
            self.header("content-type"),
            Some("application/json"),
            "{self:#?}"
        );
        serde_json::from_str(&self.body).unwrap()
    }

    /// Trace and span id of the `traceresponse` header, which says that the span was recorded.
    pub(crate) fn trace(&self) -> (String, String) {
        let value = self
            .header("traceresponse")
            .expect("a traceresponse header");
        let span = parse_traceparent(value).expect("a traceresponse");
        assert!(span.is_sampled(), "{value}");
        (span.trace_id().to_string(), span.span_id().to_string())
    }

    /// Asserts an error that says `message`, and its trace in header and body alike.
    pub(crate) fn assert_error(&self, status: u16, message: &str) {
        assert_eq!(self.status, status, "{self:#?}");
        let expected = serde_json::json!({ "error": message, "trace_id": self.trace().0 });
        assert_eq!(self.json(), expected);
    }
}
