//! Errors as clients see them.
//!
//! Each kind says its status and what a client may know. What only we may know, such as what the
//! database said, goes into the log, once, and never into the answer.

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header::RETRY_AFTER},
    response::{IntoResponse, Response},
};
use serde_json::json;

/// How long a client should wait after a 503, in seconds.
const RETRY_AFTER_SECONDS: HeaderValue = HeaderValue::from_static("1");

/// An error that is an answer: `{"error": "…"}` with a status.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// The request is at fault, or its way here; the client is told what is wrong.
    #[error("{message}")]
    Refused {
        /// What to answer.
        status: StatusCode,
        /// What to say.
        message: String,
    },
    /// It would work another time: a 503 that says when to come back.
    #[error("{message}")]
    Unavailable {
        /// What to say.
        message: String,
    },
    /// The database is away or has no room: a 503 that says nothing of it.
    #[error("the database is not available: {0}")]
    DatabaseUnavailable(#[source] sqlx::Error),
    /// A defect of ours: a 500 that says nothing of it.
    #[error("internal error: {0:#}")]
    Internal(#[source] anyhow::Error),
}

impl ApiError {
    /// 400: what came is not what it should look like.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::refused(StatusCode::BAD_REQUEST, message)
    }

    /// 404: there is no such thing.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::refused(StatusCode::NOT_FOUND, message)
    }

    /// 409: not as things are now.
    pub fn conflict(message: impl Into<String>) -> Self {
        Self::refused(StatusCode::CONFLICT, message)
    }

    /// 422: a value that breaks a rule.
    pub fn invalid(field: &str, rule: impl std::fmt::Display) -> Self {
        Self::refused(StatusCode::UNPROCESSABLE_ENTITY, format!("{field}: {rule}"))
    }

    /// 502: the service behind this one cannot be reached.
    pub fn bad_gateway(message: impl Into<String>) -> Self {
        Self::refused(StatusCode::BAD_GATEWAY, message)
    }

    /// 503: it would work another time.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::Unavailable {
            message: message.into(),
        }
    }

    /// 504: the service behind this one is too slow.
    pub fn gateway_timeout(message: impl Into<String>) -> Self {
        Self::refused(StatusCode::GATEWAY_TIMEOUT, message)
    }

    /// Any status, any message.
    pub fn refused(status: StatusCode, message: impl Into<String>) -> Self {
        Self::Refused {
            status,
            message: message.into(),
        }
    }

    /// The status of the answer.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Refused { status, .. } => *status,
            Self::Unavailable { .. } | Self::DatabaseUnavailable(_) => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            Self::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    fn message(self) -> String {
        match self {
            Self::Refused { message, .. } | Self::Unavailable { message } => message,
            Self::DatabaseUnavailable(_) => "not available at the moment".to_owned(),
            Self::Internal(_) => "internal error".to_owned(),
        }
    }

    fn log(&self) {
        match self {
            Self::Internal(error) => tracing::error!("{error:#}"),
            Self::DatabaseUnavailable(error) => {
                tracing::warn!(%error, "the database is not available");
            }
            Self::Refused { .. } | Self::Unavailable { .. } => {}
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        self.log();
        let status = self.status();
        let mut response = (status, Json(json!({ "error": self.message() }))).into_response();
        if status == StatusCode::SERVICE_UNAVAILABLE {
            response
                .headers_mut()
                .insert(RETRY_AFTER, RETRY_AFTER_SECONDS);
        }
        response
    }
}

impl From<sqlx::Error> for ApiError {
    fn from(error: sqlx::Error) -> Self {
        if is_passing(&error) {
            Self::DatabaseUnavailable(error)
        } else {
            Self::Internal(error.into())
        }
    }
}

/// Whether the same statement may well succeed a little later.
fn is_passing(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed
        | sqlx::Error::Io(_) => true,
        sqlx::Error::Database(error) => error.code().is_some_and(|code| is_passing_state(&code)),
        _ => false,
    }
}

/// The SQLSTATEs of a lost connection (08), a lack of resources (53), a server that goes down
/// (57P0x) and of two transactions in each other's way (40001, 40P01).
fn is_passing_state(code: &str) -> bool {
    ["08", "53", "57P0"]
        .iter()
        .any(|class| code.starts_with(class))
        || ["40001", "40P01"].contains(&code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sql_states_that_pass() {
        for (code, passes) in [
            ("08006", true),
            ("53300", true),
            ("57P01", true),
            ("57P03", true),
            ("40001", true),
            ("40P01", true),
            ("57014", false),
            ("23505", false),
            ("42P01", false),
            ("", false),
        ] {
            assert_eq!(is_passing_state(code), passes, "{code:?}");
        }
    }

    #[test]
    fn the_database_is_never_quoted() {
        let secret = || sqlx::Error::Protocol("secret".to_owned());
        assert_eq!(ApiError::from(secret()).message(), "internal error");
        let error = ApiError::DatabaseUnavailable(secret());
        assert_eq!(error.message(), "not available at the moment");
    }
}
