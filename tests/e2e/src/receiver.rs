//! The collector of the tests: takes OTLP over gRPC, and keeps every span as it was exported.
//!
//! It runs on a thread of its own, because each test has a runtime of its own, and this one is to
//! outlive them. It hands on what it gets, unchanged, to other collectors that are to be tested with
//! the same spans.

use std::{collections::HashMap, sync::Arc, thread, time::Duration};

use anyhow::Context;
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
    trace_service_client::TraceServiceClient,
    trace_service_server::{TraceService, TraceServiceServer},
};
use tokio::{net::TcpListener, runtime, sync::watch};
use tonic::{
    Request, Response,
    transport::{Channel, Endpoint, Server, server::TcpIncoming},
};

use crate::trace::{self, Span};

/// All spans that have arrived, by trace.
pub type Traces = HashMap<String, Vec<Span>>;

/// A collector that keeps everything. Clones are the same one.
#[derive(Debug, Clone)]
pub struct Receiver {
    endpoint: String,
    traces: Arc<watch::Sender<Traces>>,
}

impl Receiver {
    /// Starts one on a free port, which hands on what it gets to the collectors at these addresses.
    ///
    /// # Errors
    /// No port or no thread can be had.
    pub fn start(hand_on_to: &[String]) -> anyhow::Result<Self> {
        let traces = Arc::new(watch::Sender::default());
        let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
        listener.set_nonblocking(true)?;
        let endpoint = format!("http://{}", listener.local_addr()?);
        let others: Vec<_> = hand_on_to
            .iter()
            .map(|to| address(to))
            .collect::<Result<_, _>>()?;
        let kept = Arc::clone(&traces);
        let runtime = runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        thread::Builder::new()
            .name("receiver".to_owned())
            .spawn(move || runtime.block_on(serve(listener, kept, others)))
            .context("no thread for the receiver")?;
        Ok(Self { endpoint, traces })
    }

    /// Where spans are to be sent.
    #[must_use]
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Waits until what has arrived is as wanted, and answers with what that found; none if it does
    /// not come to that in time.
    pub async fn wait_for<T>(
        &self,
        limit: Duration,
        mut wanted: impl FnMut(&Traces) -> Option<T>,
    ) -> Option<T> {
        let mut arrivals = self.traces.subscribe();
        let mut found = None;
        let waited = arrivals.wait_for(|traces| {
            found = wanted(traces);
            found.is_some()
        });
        // In time or not: what counts is what was found.
        let _ = tokio::time::timeout(limit, waited).await.is_ok();
        found
    }

    /// The spans of a trace that have arrived until now.
    #[must_use]
    pub fn spans_of(&self, trace: &str) -> Vec<Span> {
        self.traces.borrow().get(trace).cloned().unwrap_or_default()
    }

    /// All spans that have arrived until now.
    #[must_use]
    pub fn all(&self) -> Vec<Span> {
        self.traces.borrow().values().flatten().cloned().collect()
    }
}

fn address(collector: &str) -> anyhow::Result<Endpoint> {
    Endpoint::from_shared(collector.to_owned())
        .with_context(|| format!("{collector} is no address of a collector"))
}

async fn serve(
    listener: std::net::TcpListener,
    traces: Arc<watch::Sender<Traces>>,
    others: Vec<Endpoint>,
) -> anyhow::Result<()> {
    let others = others.iter().map(Endpoint::connect_lazy);
    let service = TraceServiceServer::new(Service {
        traces,
        others: others.map(TraceServiceClient::new).collect(),
    });
    let listener = TcpListener::from_std(listener)?;
    Server::builder()
        .add_service(service)
        .serve_with_incoming(TcpIncoming::from(listener))
        .await?;
    Ok(())
}

struct Service {
    traces: Arc<watch::Sender<Traces>>,
    others: Vec<TraceServiceClient<Channel>>,
}

#[tonic::async_trait]
impl TraceService for Service {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, tonic::Status> {
        let exported = request.into_inner();
        for other in &self.others {
            // A test misses what did not get there, and says so.
            if let Err(error) = other.clone().export(exported.clone()).await {
                eprintln!("spans could not be handed on: {error}");
            }
        }
        self.traces.send_modify(|traces| {
            for span in trace::from_otlp(exported.resource_spans) {
                traces.entry(span.trace.clone()).or_default().push(span);
            }
        });
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}
