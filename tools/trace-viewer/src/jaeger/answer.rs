//! The envelope around every answer, errors too.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;

#[derive(Serialize)]
struct Envelope<T> {
    data: T,
    /// The number of names, and zero for traces, as Jaeger has it.
    total: usize,
    limit: usize,
    offset: usize,
    errors: Option<[Problem; 1]>,
}

#[derive(Serialize)]
struct Problem {
    code: u16,
    msg: String,
}

/// A request that cannot be answered.
pub(super) struct ApiError {
    status: StatusCode,
    message: String,
}

impl ApiError {
    pub(super) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        let message = message.into();
        Self { status, message }
    }

    pub(super) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let problem = Problem {
            code: self.status.as_u16(),
            msg: self.message,
        };
        let envelope = envelope(None::<()>, 0, Some([problem]));
        (self.status, Json(envelope)).into_response()
    }
}

/// Services or operations. Jaeger answers null when there are none, and its page relies on it.
pub(super) fn names<T: Serialize>(names: impl IntoIterator<Item = T>) -> impl Serialize {
    let names: Vec<T> = names.into_iter().collect();
    let total = names.len();
    envelope((total > 0).then_some(names), total, None)
}

/// Traces or dependencies.
pub(super) fn data(data: impl Serialize) -> impl Serialize {
    envelope(data, 0, None)
}

fn envelope<T>(data: T, total: usize, errors: Option<[Problem; 1]>) -> Envelope<T> {
    Envelope {
        data,
        total,
        limit: 0,
        offset: 0,
        errors,
    }
}
