//! OTLP over gRPC.

use std::sync::Arc;

use opentelemetry_proto::tonic::collector::logs::v1::logs_service_server::{
    LogsService, LogsServiceServer,
};
use opentelemetry_proto::tonic::collector::logs::v1::{
    ExportLogsPartialSuccess, ExportLogsServiceRequest, ExportLogsServiceResponse,
};
use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_server::{
    MetricsService, MetricsServiceServer,
};
use opentelemetry_proto::tonic::collector::metrics::v1::{
    ExportMetricsServiceRequest, ExportMetricsServiceResponse,
};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use tonic::codec::CompressionEncoding;
use tonic::transport::server::{Router, Server};
use tonic::{Request, Response, Status, async_trait};

use super::{Batch, MAX_REQUEST_BYTES, convert};
use crate::store::Store;

/// The three services; whoever calls this serves them.
pub(crate) fn router(store: Arc<Store>) -> Router {
    let receiver = Arc::new(Receiver { store });
    let traces = TraceServiceServer::from_arc(Arc::clone(&receiver))
        .accept_compressed(CompressionEncoding::Gzip)
        .max_decoding_message_size(MAX_REQUEST_BYTES);
    let logs = LogsServiceServer::from_arc(Arc::clone(&receiver))
        .accept_compressed(CompressionEncoding::Gzip)
        .max_decoding_message_size(MAX_REQUEST_BYTES);
    let metrics = MetricsServiceServer::from_arc(receiver)
        .accept_compressed(CompressionEncoding::Gzip)
        .max_decoding_message_size(MAX_REQUEST_BYTES);
    Server::builder()
        .add_service(traces)
        .add_service(logs)
        .add_service(metrics)
}

/// What a request for spans is answered: nothing special, or how many were refused and why.
pub(super) fn traces_response<T>(batch: &Batch<T>) -> ExportTraceServiceResponse {
    let partial_success = ExportTracePartialSuccess {
        rejected_spans: batch.rejected,
        error_message: batch.reason.clone(),
    };
    ExportTraceServiceResponse {
        partial_success: Some(partial_success),
    }
}

/// The same for log lines.
pub(super) fn logs_response<T>(batch: &Batch<T>) -> ExportLogsServiceResponse {
    let partial_success = ExportLogsPartialSuccess {
        rejected_log_records: batch.rejected,
        error_message: batch.reason.clone(),
    };
    ExportLogsServiceResponse {
        partial_success: Some(partial_success),
    }
}

struct Receiver {
    store: Arc<Store>,
}

#[async_trait]
impl TraceService for Receiver {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let batch = convert::spans(request.into_inner());
        let response = traces_response(&batch);
        self.store.add_spans(batch.items);
        Ok(Response::new(response))
    }
}

#[async_trait]
impl LogsService for Receiver {
    async fn export(
        &self,
        request: Request<ExportLogsServiceRequest>,
    ) -> Result<Response<ExportLogsServiceResponse>, Status> {
        let batch = convert::log_lines(request.into_inner());
        let response = logs_response(&batch);
        self.store.add_log_lines(batch.items);
        Ok(Response::new(response))
    }
}

#[async_trait]
impl MetricsService for Receiver {
    async fn export(
        &self,
        _: Request<ExportMetricsServiceRequest>,
    ) -> Result<Response<ExportMetricsServiceResponse>, Status> {
        Ok(Response::new(ExportMetricsServiceResponse::default()))
    }
}
