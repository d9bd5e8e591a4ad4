//! `/healthz` says that the process lives, `/readyz` whether what it needs is there.
//!
//! Neither is traced: they are asked every few seconds and say nothing of any order.

use std::{future::Future, time::Duration};

use axum::{Json, Router, extract::State, http::StatusCode, response::IntoResponse, routing::get};
use serde_json::{Value, json};
use telemetry::sql::Database;

use crate::app::refuse_method;

/// A check that takes longer is as good as failed.
const CHECK_TIMEOUT: Duration = Duration::from_secs(2);

/// Whether a service has what it needs.
pub trait Readiness: Clone + Send + Sync + 'static {
    /// Looks whether it has.
    fn check(&self) -> impl Future<Output = Report> + Send;
}

/// What a check found.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// Whether the service is ready.
    pub ready: bool,
    /// For people: what was looked at, and what it said.
    pub details: Value,
}

/// For a service that needs nobody: it is ready as soon as it answers.
#[derive(Debug, Clone, Copy)]
pub struct Always;

impl Readiness for Always {
    async fn check(&self) -> Report {
        Report {
            ready: true,
            details: json!({}),
        }
    }
}

impl Readiness for Database {
    async fn check(&self) -> Report {
        let answer = self.ping().await;
        if let Err(error) = &answer {
            tracing::debug!(%error, "not ready");
        }
        Report {
            ready: answer.is_ok(),
            details: json!({ "database": if answer.is_ok() { "answers" } else { "is away" } }),
        }
    }
}

const LIVENESS: &str = "/healthz";
const READINESS: &str = "/readyz";

/// Whether this path is that of a health check.
pub(crate) fn is_check(path: &str) -> bool {
    [LIVENESS, READINESS].contains(&path)
}

pub(crate) fn routes<R: Readiness>(readiness: R) -> Router {
    Router::new()
        .route(LIVENESS, get(async || Json(json!({ "alive": true }))))
        .route(READINESS, get(ready::<R>))
        .method_not_allowed_fallback(refuse_method)
        .with_state(readiness)
}

async fn ready<R: Readiness>(State(readiness): State<R>) -> impl IntoResponse {
    let checked = tokio::time::timeout(CHECK_TIMEOUT, readiness.check()).await;
    let report = checked.unwrap_or_else(|_| Report {
        ready: false,
        details: json!("no answer in time"),
    });
    let status = if report.ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (
        status,
        Json(json!({ "ready": report.ready, "details": report.details })),
    )
}
