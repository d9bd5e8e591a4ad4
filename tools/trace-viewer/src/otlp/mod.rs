//! OTLP in: gRPC on one port, HTTP with protobuf or JSON on the other.
//!
//! Spans and log lines are kept. Metrics are taken with thanks and dropped, so that a service that sends
//! all three needs no setting of its own.

mod convert;
mod grpc;
mod http;
mod json;

pub(crate) use convert::Batch;
pub(crate) use grpc::router as grpc_router;
pub(crate) use http::router as http_router;

/// The most that one request may hold, unpacked. A full batch of an OpenTelemetry SDK has about 1 MiB.
pub(crate) const MAX_REQUEST_BYTES: usize = 16 * 1024 * 1024;
