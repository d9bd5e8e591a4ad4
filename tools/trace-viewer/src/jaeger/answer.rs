//! The envelope around every answer, errors too.

use axum::http::StatusCode;
use axum::http::header::{CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::ser::PrettyFormatter;

use super::query::Params;
use crate::model::TraceId;

#[derive(Serialize)]
struct Envelope<T> {
    data: Option<T>,
    total: usize,
    limit: usize,
    offset: usize,
    errors: Option<Vec<Problem>>,
}

/// One thing that went wrong.
#[derive(Serialize)]
pub(super) struct Problem {
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<u16>,
    msg: String,
    #[serde(rename = "traceID", skip_serializing_if = "Option::is_none")]
    trace_id: Option<String>,
}

impl Problem {
    /// One of several traces asked for; `None` is the all-zero id.
    pub(super) fn trace_not_found(id: Option<TraceId>) -> Self {
        let id = id.map_or_else(|| "0".repeat(16), |id| id.to_string());
        Self {
            code: None,
            msg: "trace not found".to_owned(),
            trace_id: Some(id),
        }
    }
}

/// A request that can't be answered.
pub(super) struct ApiError {
    status: StatusCode,
    message: String,
}

impl ApiError {
    pub(super) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self {
            status,
            message: message.into(),
        }
    }

    pub(super) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    pub(super) fn trace_not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "trace not found")
    }
}

/// Text, not JSON, by its type: Go's `http.Error` is like that.
impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let code = Some(self.status.as_u16());
        let problem = Problem {
            code,
            msg: self.message,
            trace_id: None,
        };
        let errors = Some(vec![problem]);
        let envelope = Envelope {
            data: None::<()>,
            total: 0,
            limit: 0,
            offset: 0,
            errors,
        };
        let headers = [
            (CONTENT_TYPE, "text/plain; charset=utf-8"),
            (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        ];
        match to_json(&envelope, false) {
            Ok(json) => (self.status, headers, json + "\n").into_response(),
            Err(error) => unwritable(&error),
        }
    }
}

/// Nothing is here.
pub(super) fn not_found() -> Response {
    let headers = [
        (CONTENT_TYPE, "text/plain; charset=utf-8"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (StatusCode::NOT_FOUND, headers, "404 page not found\n").into_response()
}

/// Names: null when there are none, and counted.
pub(super) fn list<T: Serialize>(names: impl IntoIterator<Item = T>) -> Response {
    let names: Vec<T> = names.into_iter().collect();
    let total = names.len();
    let data = (total > 0).then_some(names);
    respond(
        &Envelope {
            data,
            total,
            limit: 0,
            offset: 0,
            errors: None,
        },
        false,
    )
}

/// Anything else.
pub(super) fn data(data: impl Serialize, total: usize, params: &Params) -> Response {
    let envelope = Envelope {
        data: Some(data),
        total,
        limit: 0,
        offset: 0,
        errors: None,
    };
    respond(&envelope, params.pretty())
}

/// What was found, and what was not.
pub(super) fn with_problems(
    data: impl Serialize,
    errors: Option<Vec<Problem>>,
    params: &Params,
) -> Response {
    let envelope = Envelope {
        data: Some(data),
        total: 0,
        limit: 0,
        offset: 0,
        errors,
    };
    respond(&envelope, params.pretty())
}

fn respond(envelope: &impl Serialize, pretty: bool) -> Response {
    match to_json(envelope, pretty) {
        Ok(json) => ([(CONTENT_TYPE, "application/json")], json).into_response(),
        Err(error) => unwritable(&error),
    }
}

fn unwritable(error: &serde_json::Error) -> Response {
    (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response()
}

fn to_json(value: &impl Serialize, pretty: bool) -> Result<String, serde_json::Error> {
    let mut json = Vec::new();
    if pretty {
        let formatter = PrettyFormatter::with_indent(b"    ");
        value.serialize(&mut serde_json::Serializer::with_formatter(
            &mut json, formatter,
        ))?;
    } else {
        serde_json::to_writer(&mut json, value)?;
    }
    Ok(escape_html(&String::from_utf8_lossy(&json)))
}

/// As Go writes JSON: `<`, `>` and `&`, which can stand in texts only, are escaped, and so are the two line
/// separators that JavaScript once took for line ends.
fn escape_html(json: &str) -> String {
    let mut escaped = String::with_capacity(json.len() + 64);
    for char in json.chars() {
        match char {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                escaped.push_str(&format!("\\u{:04x}", u32::from(char)));
            }
            other => escaped.push(other),
        }
    }
    escaped
}
