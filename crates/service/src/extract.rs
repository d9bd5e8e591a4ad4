//! axum's extractors, with refusals in our own words and always as JSON.
//!
//! A refusal says where and what is wrong, and never repeats the value: what a client sends does not
//! belong into logs, and an answer may well be logged.

use axum::{
    body::Bytes,
    extract::{FromRequest, FromRequestParts, Request},
    http::{HeaderMap, StatusCode, header::CONTENT_TYPE, request::Parts},
    response::{IntoResponse, Response},
};
use serde::{Serialize, de::DeserializeOwned};

use crate::ApiError;

/// The longest path that a refusal names, in characters. A field that is not known can have any name.
const MAX_PATH: usize = 64;

/// A JSON body, of a request or of an answer.
///
/// Refused are: another content type (415), more than the limit (413), what is no JSON or has a
/// value of the wrong type (400).
#[derive(Debug, Clone, Copy)]
pub struct Json<T>(pub T);

/// The parameters of a path. One that has the wrong type names nothing: 404.
#[derive(Debug, Clone, Copy)]
pub struct Path<T>(pub T);

/// The parameters of a query. One that has the wrong type is refused with 422.
#[derive(Debug, Clone, Copy)]
pub struct Query<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        if !is_json(request.headers()) {
            let message = "the content type must be application/json";
            return Err(ApiError::refused(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                message,
            ));
        }
        let body = Bytes::from_request(request, state).await;
        let body = body.map_err(|rejection| match rejection.status() {
            status @ StatusCode::PAYLOAD_TOO_LARGE => {
                ApiError::refused(status, "the body is too large")
            }
            status => ApiError::refused(status, "the body could not be read"),
        })?;
        parse(&body).map(Self)
    }
}

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        axum::Json(self.0).into_response()
    }
}

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let path = axum::extract::Path::from_request_parts(parts, state).await;
        path.map(|axum::extract::Path(value)| Self(value))
            .map_err(|_| ApiError::not_found("there is no such thing"))
    }
}

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let query = axum::extract::Query::from_request_parts(parts, state).await;
        query
            .map(|axum::extract::Query(value)| Self(value))
            .map_err(|_| ApiError::invalid("query", "a parameter has the wrong type"))
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let content_type = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let essence = content_type.and_then(|value| value.split(';').next());
    essence.is_some_and(|essence| essence.trim().eq_ignore_ascii_case("application/json"))
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, ApiError> {
    let mut json = serde_json::Deserializer::from_slice(body);
    let value = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let path = error.path().to_string();
        ApiError::bad_request(describe(&path, error.inner()))
    })?;
    json.end()
        .map_err(|error| ApiError::bad_request(describe(".", &error)))?;
    Ok(value)
}

/// serde's own messages quote the value, but for those of a missing field.
fn describe(path: &str, error: &serde_json::Error) -> String {
    use serde_json::error::Category;
    let message = error.to_string();
    let what = match error.classify() {
        Category::Data if message.starts_with("missing field") => {
            message.split(" at line").next().unwrap_or("missing field")
        }
        Category::Data => "wrong type",
        Category::Eof => "the JSON ends too early",
        Category::Syntax | Category::Io => "this is no JSON",
    };
    let (line, column) = (error.line(), error.column());
    match path {
        // What ends too early has no path.
        "." | "?" => format!("{what} (line {line}, column {column})"),
        path => {
            let path: String = path.chars().take(MAX_PATH).collect();
            format!("{path}: {what} (line {line}, column {column})")
        }
    }
}
