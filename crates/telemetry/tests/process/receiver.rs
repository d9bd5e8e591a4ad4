//! OTLP receivers: one per protocol, and one that never answers.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::routing::post;
use http::HeaderMap;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_proto::tonic::trace::v1::ResourceSpans;
use prost::Message;
use tokio::net::TcpListener;
use tonic::codec::CompressionEncoding;
use tonic::transport::server::TcpIncoming;

/// Keeps the exports that arrive, by any protocol.
#[derive(Clone, Default)]
pub(crate) struct Receiver {
    arrivals: Arc<Mutex<Vec<Arrival>>>,
    /// One element per export.
    log_batches: Arc<Mutex<Vec<Vec<LogRecord>>>>,
}

/// One export of spans.
#[derive(Clone)]
pub(crate) struct Arrival {
    pub(crate) headers: HeaderMap,
    pub(crate) spans: Vec<ResourceSpans>,
}

impl Receiver {
    pub(crate) async fn http(&self) -> SocketAddr {
        let (listener, address) = listen().await;
        let app = Router::new()
            .route("/v1/traces", post(receive))
            .route("/v1/logs", post(receive_logs))
            .with_state(self.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        address
    }

    pub(crate) async fn grpc(&self) -> SocketAddr {
        let (listener, address) = listen().await;
        let service =
            TraceServiceServer::new(self.clone()).accept_compressed(CompressionEncoding::Gzip);
        let server = tonic::transport::Server::builder()
            .add_service(service)
            .serve_with_incoming(TcpIncoming::from(listener));
        tokio::spawn(server);
        address
    }

    pub(crate) fn arrivals(&self) -> Vec<Arrival> {
        self.arrivals.lock().expect("no test panicked here").clone()
    }

    pub(crate) fn log_batches(&self) -> Vec<Vec<LogRecord>> {
        let batches = self.log_batches.lock();
        batches.expect("no test panicked here").clone()
    }

    pub(crate) fn log_lines(&self) -> Vec<LogRecord> {
        self.log_batches().into_iter().flatten().collect()
    }

    fn take(&self, headers: HeaderMap, request: ExportTraceServiceRequest) {
        let spans = request.resource_spans;
        let mut arrivals = self.arrivals.lock().expect("no test panicked here");
        arrivals.push(Arrival { headers, spans });
    }
}

async fn receive(State(receiver): State<Receiver>, headers: HeaderMap, body: Bytes) {
    let request = ExportTraceServiceRequest::decode(body).expect("protobuf");
    receiver.take(headers, request);
}

async fn receive_logs(State(receiver): State<Receiver>, body: Bytes) {
    let request = ExportLogsServiceRequest::decode(body).expect("protobuf");
    let resources = request.resource_logs.into_iter();
    let scopes = resources.flat_map(|resource| resource.scope_logs);
    let mut batches = receiver.log_batches.lock().expect("no test panicked here");
    batches.push(scopes.flat_map(|scope| scope.log_records).collect());
}

#[tonic::async_trait]
impl TraceService for Receiver {
    async fn export(
        &self,
        request: tonic::Request<ExportTraceServiceRequest>,
    ) -> Result<tonic::Response<ExportTraceServiceResponse>, tonic::Status> {
        let (metadata, _, request) = request.into_parts();
        self.take(metadata.into_headers(), request);
        Ok(tonic::Response::new(ExportTraceServiceResponse::default()))
    }
}

/// Accepts every connection and never answers.
pub(crate) async fn black_hole() -> SocketAddr {
    let (listener, address) = listen().await;
    tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok(connection) = listener.accept().await {
            held.push(connection);
        }
    });
    address
}

pub(crate) async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("its address");
    (listener, address)
}
