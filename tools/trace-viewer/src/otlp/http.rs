//! OTLP over HTTP: `POST /v1/traces`, `/v1/logs` and `/v1/metrics`, protobuf or JSON, plain or gzip.
//!
//! An answer has the type of its request. Refusals are worded as an OpenTelemetry Collector words them.

use std::io::Read;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use flate2::read::GzDecoder;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceResponse;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message;
use serde_json::{Value, json};

use super::grpc::{logs_response, traces_response};
use super::{MAX_REQUEST_BYTES, convert, json as otlp_json};
use crate::store::Store;

/// The three paths.
pub(crate) fn router(store: Arc<Store>) -> Router {
    let only_post = || async { refuse(StatusCode::METHOD_NOT_ALLOWED, "supported: [POST]") };
    Router::new()
        .route("/v1/traces", post(traces).fallback(only_post))
        .route("/v1/logs", post(logs).fallback(only_post))
        .route("/v1/metrics", post(metrics).fallback(only_post))
        .fallback(async || (StatusCode::NOT_FOUND, "404 page not found\n"))
        .with_state(store)
}

async fn traces(State(store): State<Arc<Store>>, request: Request) -> Result<Response, Response> {
    let (encoding, body) = read(request).await?;
    let protobuf = match encoding {
        Encoding::Protobuf => body,
        Encoding::Json => otlp_json::traces(&body)
            .map_err(|e| encoding.malformed(&e))?
            .into(),
    };
    let request =
        ExportTraceServiceRequest::decode(protobuf).map_err(|e| encoding.malformed(&e))?;
    let batch = convert::spans(request);
    let rejected = rejection("rejectedSpans", batch.rejected, &batch.reason);
    let response = traces_response(&batch);
    store.add_spans(batch.items);
    Ok(encoding.answer(
        StatusCode::OK,
        &response,
        &json!({ "partialSuccess": rejected }),
    ))
}

async fn logs(State(store): State<Arc<Store>>, request: Request) -> Result<Response, Response> {
    let (encoding, body) = read(request).await?;
    let protobuf = match encoding {
        Encoding::Protobuf => body,
        Encoding::Json => otlp_json::logs(&body)
            .map_err(|e| encoding.malformed(&e))?
            .into(),
    };
    let request = ExportLogsServiceRequest::decode(protobuf).map_err(|e| encoding.malformed(&e))?;
    let batch = convert::log_lines(request);
    let rejected = rejection("rejectedLogRecords", batch.rejected, &batch.reason);
    let response = logs_response(&batch);
    store.add_log_lines(batch.items);
    Ok(encoding.answer(
        StatusCode::OK,
        &response,
        &json!({ "partialSuccess": rejected }),
    ))
}

async fn metrics(request: Request) -> Result<Response, Response> {
    let (encoding, _) = read(request).await?;
    let response = ExportMetricsServiceResponse::default();
    Ok(encoding.answer(StatusCode::OK, &response, &json!({ "partialSuccess": {} })))
}

/// Nothing when nothing was refused; so does Jaeger.
fn rejection(count: &str, rejected: i64, reason: &str) -> Value {
    match rejected {
        0 => json!({}),
        rejected => json!({ count: rejected.to_string(), "errorMessage": reason }),
    }
}

#[derive(Clone, Copy)]
enum Encoding {
    Protobuf,
    Json,
}

impl Encoding {
    fn of(headers: &HeaderMap) -> Option<Self> {
        let content_type = headers.get(CONTENT_TYPE)?.to_str().ok()?;
        match content_type.split(';').next()?.trim() {
            "application/x-protobuf" => Some(Self::Protobuf),
            "application/json" => Some(Self::Json),
            _ => None,
        }
    }

    fn malformed(self, reason: &dyn std::error::Error) -> Response {
        self.error(StatusCode::BAD_REQUEST, &reason.to_string())
    }

    /// A `google.rpc.Status`, which is what OTLP wants to see.
    fn error(self, status: StatusCode, message: &str) -> Response {
        const INVALID_ARGUMENT: i32 = 3;
        let error = RpcStatus {
            code: INVALID_ARGUMENT,
            message: message.to_owned(),
        };
        self.answer(
            status,
            &error,
            &json!({ "code": INVALID_ARGUMENT, "message": message }),
        )
    }

    fn answer(self, status: StatusCode, protobuf: &impl Message, json: &Value) -> Response {
        let (content_type, body) = match self {
            Self::Protobuf => (
                "application/x-protobuf",
                Body::from(protobuf.encode_to_vec()),
            ),
            Self::Json => ("application/json", Body::from(json.to_string())),
        };
        (status, [(CONTENT_TYPE, content_type)], body).into_response()
    }
}

/// `google.rpc.Status`, the part of it that is used.
#[derive(Clone, PartialEq, Message)]
struct RpcStatus {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
}

/// The body, unpacked, and what it is written in.
async fn read(request: Request) -> Result<(Encoding, Bytes), Response> {
    let (head, body) = request.into_parts();
    let encoding = Encoding::of(&head.headers).ok_or_else(|| {
        let supported = "supported: [application/json, application/x-protobuf]";
        refuse(StatusCode::UNSUPPORTED_MEDIA_TYPE, supported)
    })?;
    let too_large = || {
        let message = format!("a request may hold {MAX_REQUEST_BYTES} bytes, unpacked");
        encoding.error(StatusCode::PAYLOAD_TOO_LARGE, &message)
    };
    let body = to_bytes(body, MAX_REQUEST_BYTES)
        .await
        .map_err(|_| too_large())?;
    match head
        .headers
        .get(CONTENT_ENCODING)
        .map(|value| value.as_bytes())
    {
        None | Some(b"" | b"identity") => Ok((encoding, body)),
        Some(b"gzip") => match unpack(&body) {
            Ok(Some(body)) => Ok((encoding, body)),
            Ok(None) => Err(too_large()),
            Err(error) => Err(encoding.malformed(&error)),
        },
        Some(_) => Err(refuse(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "supported encodings: [gzip]",
        )),
    }
}

/// `None` when it is larger than a request may be: no more than that is ever unpacked.
fn unpack(packed: &[u8]) -> std::io::Result<Option<Bytes>> {
    let mut body = Vec::new();
    GzDecoder::new(packed)
        .take(MAX_REQUEST_BYTES as u64 + 1)
        .read_to_end(&mut body)?;
    Ok((body.len() <= MAX_REQUEST_BYTES).then(|| body.into()))
}

fn refuse(status: StatusCode, supported: &str) -> Response {
    let reason = status.canonical_reason().unwrap_or_default().to_lowercase();
    let text = format!("{} {reason}, {supported}", status.as_u16());
    (status, [(CONTENT_TYPE, "text/plain")], text).into_response()
}
