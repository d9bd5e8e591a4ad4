//! Errors as clients see them.
//!
//! Each variant says its status and what a client may know. What only we may know, such as PostgreSQL's own
//! message, is logged once and never part of the answer.

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header::RETRY_AFTER},
    response::{IntoResponse, Response},
};
use serde_json::json;
use telemetry::sql::is_commit_unknown;

const OUTCOME_UNKNOWN: &str =
    "the outcome is unknown: repeat the request, with the same Idempotency-Key if it had one";

/// How long a client should wait after a 503, in seconds.
const RETRY_AFTER_SECONDS: HeaderValue = HeaderValue::from_static("1");

/// The `code` of a 503 that concerns this one thing only (a mail that is being sent, a row that is locked). The
/// service itself is well: other requests succeed meanwhile.
pub const BUSY: &str = "busy";

/// An error that is an answer: a status and `{"error": "…"}`, with a `"code"` where programs decide by it.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// The client is told what is wrong.
    #[error("{message}")]
    Refused {
        /// The status of the answer. A 503 gets a `Retry-After`.
        status: StatusCode,
        /// `error`, for people.
        message: String,
        /// `code`, for programs.
        code: Option<&'static str>,
    },
    /// The database is unreachable or has no resources left: a 503 that says nothing of it.
    #[error("the database is not available: {0}")]
    DatabaseUnavailable(#[source] sqlx::Error),
    /// The answer to a COMMIT was lost, so it is unknown whether the changes were made: a 503 with the code
    /// `outcome_unknown`.
    #[error("{0}")]
    OutcomeUnknown(#[source] sqlx::Error),
    /// Another transaction is in the way of this one: a 503 with the code [`BUSY`].
    #[error("the database is busy: {0}")]
    DatabaseBusy(#[source] sqlx::Error),
    /// A defect of ours: a 500 that says nothing of it.
    #[error("internal error: {0:#}")]
    Internal(#[source] anyhow::Error),
}

impl ApiError {
    /// 400: the request is malformed.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::refused(StatusCode::BAD_REQUEST, message)
    }

    /// 404: there is no such thing.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::refused(StatusCode::NOT_FOUND, message)
    }

    /// 409: not allowed in the current state.
    pub fn conflict(message: impl Into<String>) -> Self {
        Self::refused(StatusCode::CONFLICT, message)
    }

    /// 422: this field breaks this rule.
    pub fn invalid(field: &str, rule: impl std::fmt::Display) -> Self {
        Self::unprocessable(format!("{field}: {rule}"))
    }

    /// 422: a value breaks a rule. The error says which, as `field: rule`, and must not quote the value.
    pub fn unprocessable(error: impl std::fmt::Display) -> Self {
        Self::refused(StatusCode::UNPROCESSABLE_ENTITY, error.to_string())
    }

    /// 502: the upstream service cannot be reached.
    pub fn bad_gateway(message: impl Into<String>) -> Self {
        Self::refused(StatusCode::BAD_GATEWAY, message)
    }

    /// 503: the same request may succeed later.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::refused(StatusCode::SERVICE_UNAVAILABLE, message)
    }

    /// 503 with the code [`BUSY`].
    pub fn busy(message: impl Into<String>) -> Self {
        Self::unavailable(message).with_code(BUSY)
    }

    /// 504: the upstream service is too slow.
    pub fn gateway_timeout(message: impl Into<String>) -> Self {
        Self::refused(StatusCode::GATEWAY_TIMEOUT, message)
    }

    /// Any status, any message.
    pub fn refused(status: StatusCode, message: impl Into<String>) -> Self {
        Self::Refused {
            status,
            message: message.into(),
            code: None,
        }
    }

    /// The same with a `code`. Only [`ApiError::Refused`] can have one; the others are returned unchanged.
    #[must_use]
    pub fn with_code(mut self, new: &'static str) -> Self {
        if let Self::Refused { code, .. } = &mut self {
            *code = Some(new);
        }
        self
    }

    /// The status of the answer.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Refused { status, .. } => *status,
            Self::DatabaseUnavailable(_) | Self::DatabaseBusy(_) | Self::OutcomeUnknown(_) => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            Self::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// What the client is told: `error` and `code`.
    fn told(self) -> (String, Option<&'static str>) {
        match self {
            Self::Refused { message, code, .. } => (message, code),
            Self::DatabaseUnavailable(_) => ("not available at the moment".to_owned(), None),
            Self::OutcomeUnknown(_) => (OUTCOME_UNKNOWN.to_owned(), Some("outcome_unknown")),
            Self::DatabaseBusy(_) => ("busy at the moment".to_owned(), Some(BUSY)),
            Self::Internal(_) => ("internal error".to_owned(), None),
        }
    }

    fn log(&self) {
        match self {
            Self::Internal(error) => tracing::error!("{error:#}"),
            Self::OutcomeUnknown(error) => tracing::warn!("{error}"),
            Self::DatabaseUnavailable(error) => {
                tracing::warn!(%error, "the database is not available");
            }
            Self::DatabaseBusy(error) => {
                tracing::info!(%error, "another transaction is in the way");
            }
            Self::Refused { .. } => {}
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        self.log();
        let status = self.status();
        let (error, code) = self.told();
        let body = match code {
            Some(code) => json!({ "error": error, "code": code }),
            None => json!({ "error": error }),
        };
        let mut response = (status, Json(body)).into_response();
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
        if is_commit_unknown(&error) {
            return Self::OutcomeUnknown(error);
        }
        match Trouble::of(&error) {
            Some(Trouble::Unavailable) => Self::DatabaseUnavailable(error),
            Some(Trouble::Busy) => Self::DatabaseBusy(error),
            None => Self::Internal(error.into()),
        }
    }
}

/// Trouble with the database that passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trouble {
    /// No statement succeeds at the moment.
    Unavailable,
    /// This statement was stopped by a lock, a timeout or another transaction. Others succeed.
    Busy,
}

impl Trouble {
    fn of(error: &sqlx::Error) -> Option<Self> {
        match error {
            sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed
            | sqlx::Error::Io(_) => Some(Self::Unavailable),
            sqlx::Error::Database(error) => Self::of_state(&error.code()?),
            _ => None,
        }
    }

    /// | SQLSTATE | meaning |
    /// |---|---|
    /// | 08… | the connection is lost |
    /// | 53… | no connections, memory or disk left |
    /// | 57P0… | the server is shutting down or starting |
    /// | 25006 | the server is read-only: what a standby answers in a failover |
    /// | 55P03, 57014 | `lock_timeout`, `statement_timeout` |
    /// | 40001, 40P01 | serialization failure, deadlock |
    fn of_state(code: &str) -> Option<Self> {
        let unavailable = ["08", "53", "57P0", "25006"];
        let busy = ["55P03", "57014", "40001", "40P01"];
        if unavailable.iter().any(|prefix| code.starts_with(prefix)) {
            Some(Self::Unavailable)
        } else if busy.contains(&code) {
            Some(Self::Busy)
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn class_of_each_sqlstate() {
        for (code, expected) in [
            ("08006", Some(Trouble::Unavailable)),
            ("53300", Some(Trouble::Unavailable)),
            ("57P01", Some(Trouble::Unavailable)),
            ("57P03", Some(Trouble::Unavailable)),
            ("25006", Some(Trouble::Unavailable)),
            ("55P03", Some(Trouble::Busy)),
            ("57014", Some(Trouble::Busy)),
            ("40001", Some(Trouble::Busy)),
            ("40P01", Some(Trouble::Busy)),
            ("23505", None),
            ("25001", None),
            ("42P01", None),
            ("", None),
        ] {
            assert_eq!(Trouble::of_state(code), expected, "{code:?}");
        }
    }

    #[test]
    fn the_database_is_never_quoted() {
        let secret = || sqlx::Error::Protocol("secret".to_owned());
        let told = |error: ApiError| error.told();
        assert_eq!(
            told(ApiError::from(secret())),
            ("internal error".to_owned(), None)
        );
        assert_eq!(
            told(ApiError::DatabaseUnavailable(secret())),
            ("not available at the moment".to_owned(), None)
        );
        assert_eq!(
            told(ApiError::DatabaseBusy(secret())),
            ("busy at the moment".to_owned(), Some(BUSY))
        );
    }
}
