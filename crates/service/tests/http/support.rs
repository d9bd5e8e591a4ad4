//! Servers on free ports, and what they answer.

use std::{future::Future, io, net::SocketAddr, sync::Arc, time::Duration};

use axum::{Router, extract::State, routing::get};
use reqwest::{RequestBuilder, header::HeaderMap};
use serde_json::Value;
use service::Json;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Notify, mpsc},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

/// Long enough for anything that happens at all.
pub(crate) const LIMIT: Duration = Duration::from_secs(30);

/// Waits for what must happen; fails if it does not.
pub(crate) async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(LIMIT, what)
        .await
        .expect("it never happens")
}

pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) http: reqwest::Client,
    pub(crate) shutdown: CancellationToken,
    pub(crate) served: JoinHandle<io::Result<()>>,
}

impl Server {
    pub(crate) async fn start(app: Router) -> Self {
        Self::start_with_drain(app, LIMIT * 100).await
    }

    pub(crate) async fn start_with_drain(app: Router, drain: Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shutdown = CancellationToken::new();
        let served = service::serve_with_drain(listener, app, shutdown.clone(), drain);
        Self {
            address,
            http: reqwest::Client::builder().no_proxy().build().unwrap(),
            shutdown,
            served: tokio::spawn(served),
        }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) fn get(&self, path: &str) -> RequestBuilder {
        self.http.get(self.url(path))
    }

    pub(crate) async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Asks it to end, and waits until it has.
    pub(crate) async fn stop(self) {
        self.shutdown.cancel();
        soon(self.served).await.unwrap().unwrap();
    }
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    pub(crate) fn error(&self) -> &str {
        self.body["error"].as_str().unwrap()
    }
}

/// Sends the request. Whatever is answered has to be JSON.
pub(crate) async fn answer(request: RequestBuilder) -> Answer {
    let response = soon(request.send()).await.unwrap();
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let body = response.text().await.unwrap();
    assert_eq!(headers["content-type"], "application/json", "{body}");
    Answer {
        status,
        headers,
        body: serde_json::from_str(&body).unwrap(),
    }
}

/// A handler that is held until it is let go.
#[derive(Clone)]
pub(crate) struct Gate {
    entered: mpsc::UnboundedSender<()>,
    open: Arc<Notify>,
}

/// Tells when a handler has come to its gate.
pub(crate) type Entered = mpsc::UnboundedReceiver<()>;

impl Gate {
    fn new() -> (Self, Entered) {
        let (entered, wait) = mpsc::unbounded_channel();
        let open = Arc::new(Notify::new());
        (Self { entered, open }, wait)
    }

    async fn pass(&self) {
        self.entered.send(()).unwrap();
        self.open.notified().await;
    }

    /// Lets one pass.
    pub(crate) fn open(&self) {
        self.open.notify_one();
    }
}

/// A route that is held at a gate, and one that is free.
pub(crate) fn gated() -> (Router, Gate, Entered) {
    let (gate, entered) = Gate::new();
    let held = async |State(gate): State<Gate>| {
        gate.pass().await;
        Json("done")
    };
    let routes = Router::new()
        .route("/held", get(held))
        .route("/free", get(async || Json("done")))
        .with_state(gate.clone());
    (routes, gate, entered)
}
