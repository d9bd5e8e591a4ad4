//! OTLP over gRPC.

use std::sync::Arc;

use axum::http::HeaderValue;
use axum::middleware::map_response;
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
use tonic::service::Routes;
use tonic::transport::server::{Router, Server};
use tonic::{Code, Request, Response, Status, async_trait};

use super::{MAX_REQUEST_BYTES, Rejected, take_log_lines, take_spans};
use crate::store::Store;

/// The three services.
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
    let services = Routes::new(traces).add_service(logs).add_service(metrics);
    let services = services.into_axum_router();
    let services = services.layer(map_response(async |response| refuse_for_good(response)));
    Server::builder().add_routes(services.into())
}

/// The answer to a request with spans. `partial_success` stays unset when nothing was rejected, as OTLP demands.
pub(super) fn traces_response(rejected: &Rejected) -> ExportTraceServiceResponse {
    let partial_success = ExportTracePartialSuccess {
        rejected_spans: i64::try_from(rejected.count).unwrap_or(i64::MAX),
        error_message: rejected.reason.clone(),
    };
    ExportTraceServiceResponse {
        partial_success: (rejected.count > 0).then_some(partial_success),
    }
}

/// The answer to a request with log lines.
pub(super) fn logs_response(rejected: &Rejected) -> ExportLogsServiceResponse {
    let partial_success = ExportLogsPartialSuccess {
        rejected_log_records: i64::try_from(rejected.count).unwrap_or(i64::MAX),
        error_message: rejected.reason.clone(),
    };
    ExportLogsServiceResponse {
        partial_success: (rejected.count > 0).then_some(partial_success),
    }
}

/// tonic answers `OUT_OF_RANGE` to a message that is too large. OTLP's senders retry that status, for ever.
fn refuse_for_good(mut response: axum::response::Response) -> axum::response::Response {
    let out_of_range = Code::OutOfRange as i32;
    let headers = response.headers_mut();
    if let Some(status) = headers.get_mut(Status::GRPC_STATUS)
        && *status == out_of_range.to_string()
    {
        *status = HeaderValue::from(Code::InvalidArgument as i32);
    }
    response
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
        let rejected = take_spans(&self.store, request.into_inner());
        Ok(Response::new(traces_response(&rejected)))
    }
}

#[async_trait]
impl LogsService for Receiver {
    async fn export(
        &self,
        request: Request<ExportLogsServiceRequest>,
    ) -> Result<Response<ExportLogsServiceResponse>, Status> {
        let rejected = take_log_lines(&self.store, request.into_inner());
        Ok(Response::new(logs_response(&rejected)))
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
