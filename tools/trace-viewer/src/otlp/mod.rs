//! OTLP in: gRPC on one port, HTTP with protobuf or JSON on the other.
//!
//! Spans and log lines are kept. Metrics are accepted and dropped, so that a service that sends all three needs
//! no setting for the viewer.
//!
//! Every refusal is final by OTLP's rules: a sender that tried again would be refused again. Spans that cannot
//! be kept are rejected one by one, and the answer says how many and why.

mod convert;
mod grpc;
mod http;
mod json;

pub(crate) use grpc::router as grpc_router;
pub(crate) use http::router as http_router;

use crate::store::Store;
use convert::Batch;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;

/// The largest request, unpacked, in bytes. A full batch of an OpenTelemetry SDK has about 1 MiB.
pub(crate) const MAX_REQUEST_BYTES: usize = 16 * 1024 * 1024;

/// The items of a request that were not kept.
#[derive(Debug, Default)]
struct Rejected {
    /// How many.
    count: usize,
    /// Why the first of them was not kept.
    reason: String,
}

impl Rejected {
    fn add(&mut self, count: usize, reason: impl Into<String>) {
        if count > 0 && self.count == 0 {
            self.reason = reason.into();
        }
        self.count += count;
    }

    fn and(mut self, later: Self) -> Self {
        self.add(later.count, later.reason);
        self
    }
}

/// Keeps the spans of a request.
fn take_spans(store: &Store, request: ExportTraceServiceRequest) -> Rejected {
    take(convert::spans(request), |spans| store.add_spans(spans))
}

/// Keeps the log lines of a request.
fn take_log_lines(store: &Store, request: ExportLogsServiceRequest) -> Rejected {
    take(convert::log_lines(request), |lines| {
        store.add_log_lines(lines)
    })
}

fn take<T>(batch: Batch<T>, add: impl FnOnce(Vec<T>) -> usize) -> Rejected {
    let mut rejected = batch.rejected;
    let full = "the trace is full: a single trace may use half of VIEWER_MEMORY_BYTES";
    rejected.add(add(batch.items), full);
    rejected
}
