//! OTLP over HTTP: `POST /v1/traces`, `/v1/logs` and `/v1/metrics`, protobuf or JSON, plain, gzip or deflate.
//!
//! An answer has the content type of its request. Refusals are worded as an OpenTelemetry Collector words them;
//! none has a status that OTLP's senders retry (429, 502, 503, 504).

use std::error::Error;
use std::io::Read;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use flate2::read::{MultiGzDecoder, ZlibDecoder};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceResponse;
use prost::Message;
use serde_json::{Value, json};

use super::grpc::{logs_response, traces_response};
use super::json::{self as otlp_json, JsonError};
use super::{MAX_REQUEST_BYTES, Rejected, take_log_lines, take_spans};
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
    let decoded = encoding.decode(body, otlp_json::traces);
    let (request, unreadable) = decoded.map_err(|error| encoding.malformed(&*error))?;
    let rejected = unreadable.and(take_spans(&store, request));
    let json = partial_success("rejectedSpans", &rejected);
    Ok(encoding.answer(StatusCode::OK, &traces_response(&rejected), &json))
}

async fn logs(State(store): State<Arc<Store>>, request: Request) -> Result<Response, Response> {
    let (encoding, body) = read(request).await?;
    let decoded = encoding.decode(body, otlp_json::logs);
    let (request, unreadable) = decoded.map_err(|error| encoding.malformed(&*error))?;
    let rejected = unreadable.and(take_log_lines(&store, request));
    let json = partial_success("rejectedLogRecords", &rejected);
    Ok(encoding.answer(StatusCode::OK, &logs_response(&rejected), &json))
}

async fn metrics(request: Request) -> Result<Response, Response> {
    let (encoding, _) = read(request).await?;
    let response = ExportMetricsServiceResponse::default();
    Ok(encoding.answer(StatusCode::OK, &response, &json!({})))
}

/// The answer in JSON: empty when nothing was rejected.
fn partial_success(count: &str, rejected: &Rejected) -> Value {
    match rejected.count {
        0 => json!({}),
        number => json!({
            "partialSuccess": { count: number.to_string(), "errorMessage": rejected.reason },
        }),
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
        let media_type = content_type.split(';').next()?.trim();
        match media_type.to_ascii_lowercase().as_str() {
            "application/x-protobuf" => Some(Self::Protobuf),
            "application/json" => Some(Self::Json),
            _ => None,
        }
    }

    /// The request, and the items of it that were rejected because they could not be read.
    fn decode<T: Message + Default>(
        self,
        body: Bytes,
        rewrite: impl FnOnce(&[u8]) -> Result<(Vec<u8>, Rejected), JsonError>,
    ) -> Result<(T, Rejected), Box<dyn Error>> {
        let (protobuf, rejected) = match self {
            Self::Protobuf => (body, Rejected::default()),
            Self::Json => {
                let (protobuf, rejected) = rewrite(&body)?;
                (protobuf.into(), rejected)
            }
        };
        Ok((T::decode(protobuf)?, rejected))
    }

    fn malformed(self, reason: &dyn Error) -> Response {
        self.error(StatusCode::BAD_REQUEST, &reason.to_string())
    }

    /// A `google.rpc.Status`, as OTLP demands.
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

/// The part of `google.rpc.Status` that OTLP uses.
#[derive(Clone, PartialEq, Message)]
struct RpcStatus {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
}

/// The body, unpacked, and its encoding.
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
    // The other reason is a client that went away: nobody reads the answer.
    let body = to_bytes(body, MAX_REQUEST_BYTES)
        .await
        .map_err(|_| too_large())?;
    let packed = head.headers.get(CONTENT_ENCODING);
    let packed = packed.map_or("", |value| value.to_str().unwrap_or("?"));
    let unpacked = match packed.to_ascii_lowercase().as_str() {
        "" | "identity" => return Ok((encoding, body)),
        // A gzip body may have several members.
        "gzip" => unpack(MultiGzDecoder::new(&*body)),
        // HTTP's deflate has zlib's header and checksum.
        "deflate" => unpack(ZlibDecoder::new(&*body)),
        _ => {
            let supported = "supported encodings: [gzip, deflate]";
            return Err(refuse(StatusCode::UNSUPPORTED_MEDIA_TYPE, supported));
        }
    };
    match unpacked {
        Ok(Some(body)) => Ok((encoding, body)),
        Ok(None) => Err(too_large()),
        Err(error) => Err(encoding.malformed(&error)),
    }
}

/// `None` for a body that is larger than a request may be: it is unpacked no further than that.
fn unpack(packed: impl Read) -> std::io::Result<Option<Bytes>> {
    let mut body = Vec::new();
    packed
        .take(MAX_REQUEST_BYTES as u64 + 1)
        .read_to_end(&mut body)?;
    Ok((body.len() <= MAX_REQUEST_BYTES).then(|| body.into()))
}

fn refuse(status: StatusCode, supported: &str) -> Response {
    let reason = status.canonical_reason().unwrap_or_default().to_lowercase();
    let text = format!("{} {reason}, {supported}", status.as_u16());
    (status, [(CONTENT_TYPE, "text/plain")], text).into_response()
}
