//! A viewer on free ports, and a client for it.

use std::net::SocketAddr;

use clap::Parser;
use serde_json::Value;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use trace_viewer::{Config, Viewer};

/// A running viewer; it stops with the test.
pub(crate) struct Running {
    pub(crate) page: SocketAddr,
    pub(crate) otlp_grpc: SocketAddr,
    pub(crate) otlp_http: SocketAddr,
    pub(crate) client: reqwest::Client,
    pub(crate) stop: CancellationToken,
    pub(crate) served: JoinHandle<anyhow::Result<()>>,
}

/// The settings of `OrderFlow`.
const SETTINGS: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../observability/viewer.json"
);

/// A viewer as `OrderFlow` starts it.
pub(crate) async fn start() -> Running {
    start_with(&["--settings", SETTINGS]).await
}

/// A viewer with these arguments.
pub(crate) async fn start_with(arguments: &[&str]) -> Running {
    let ports = [
        "trace-viewer",
        "--port=0",
        "--otlp-grpc-port=0",
        "--otlp-http-port=0",
    ];
    let config = Config::parse_from(ports.iter().chain(arguments));
    let viewer = Viewer::bind(&config).await.unwrap();
    let stop = CancellationToken::new();
    Running {
        page: viewer.page_address().unwrap(),
        otlp_grpc: viewer.otlp_grpc_address().unwrap(),
        otlp_http: viewer.otlp_http_address().unwrap(),
        client: reqwest::Client::new(),
        stop: stop.clone(),
        served: tokio::spawn(viewer.run(stop)),
    }
}

impl Running {
    pub(crate) async fn get(&self, path: &str) -> reqwest::Response {
        self.client
            .get(format!("http://{}{path}", self.page))
            .send()
            .await
            .unwrap()
    }

    pub(crate) async fn get_json(&self, path: &str) -> Value {
        let response = self.get(path).await;
        assert!(
            response.status().is_success(),
            "{path}: {}",
            response.status()
        );
        response.json().await.unwrap()
    }

    pub(crate) async fn send_json(
        &self,
        path: &str,
        body: impl Into<reqwest::Body>,
    ) -> reqwest::Response {
        let url = format!("http://{}{path}", self.otlp_http);
        let request = self
            .client
            .post(url)
            .header("content-type", "application/json");
        request.body(body).send().await.unwrap()
    }
}

/// A file of `tests/fixtures`.
pub(crate) fn fixture(name: &str) -> String {
    let path = format!("{}/tests/fixtures/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The names of a folder of `tests/fixtures`.
pub(crate) fn fixtures(folder: &str) -> Vec<String> {
    let path = format!("{}/tests/fixtures/{folder}", env!("CARGO_MANIFEST_DIR"));
    let files = std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap());
    let files = files.filter(|entry| entry.file_type().unwrap().is_file());
    let mut names: Vec<_> = files
        .map(|entry| format!("{folder}/{}", entry.file_name().to_str().unwrap()))
        .collect();
    names.sort();
    names
}
