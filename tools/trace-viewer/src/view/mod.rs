//! What the page asks for: lists, one trace, and word of changes.
//!
//! Jaeger's API would not do: it cuts times to microseconds and keeps no log lines. And what the page says of
//! a trace (its verdict, the time in the queue, the critical path) is worked out here, where it can be
//! tested, and not in the browser.

mod critical;
mod detail;
mod list;
mod live;
mod messages;
mod time;
mod tree;
mod verdict;

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::model::TraceId;
use crate::store::Store;

/// Everything under `/view`. Whoever listens for changes is let go when `stop` is cancelled.
pub(crate) fn router(store: Arc<Store>, stop: CancellationToken) -> Router {
    let live = live::Live::new(Arc::clone(&store), stop);
    Router::new()
        .route("/view/traces", get(traces))
        .route("/view/traces/{id}", get(trace))
        .route("/view/orders/{id}", get(order))
        .with_state(store)
        .merge(
            Router::new()
                .route("/view/live", get(live::listen))
                .with_state(live),
        )
}

async fn traces(State(store): State<Arc<Store>>, Query(filter): Query<list::Filter>) -> Response {
    let now = now();
    match filter.parse() {
        Ok(filter) => Json(list::list(&store, &filter, now)).into_response(),
        Err(message) => {
            (StatusCode::BAD_REQUEST, Json(json!({ "error": message }))).into_response()
        }
    }
}

async fn trace(State(store): State<Arc<Store>>, Path(id): Path<String>) -> Response {
    match TraceId::from_hex(&id).and_then(|id| store.trace(id)) {
        Some(found) => Json(detail::render(&store, &found, now())).into_response(),
        None => not_held(&store, "no such trace is held"),
    }
}

async fn order(State(store): State<Arc<Store>>, Path(id): Path<String>) -> Response {
    let found = list::of_order(&store, &id, now());
    if found.is_empty() {
        return not_held(&store, "no trace of this order is held");
    }
    Json(json!({ "traces": found })).into_response()
}

/// Why something may be missing: it came before what is held began, or never.
fn not_held(store: &Store, error: &str) -> Response {
    let body = json!({ "error": error, "held": list::held(&store.counts()) });
    (StatusCode::NOT_FOUND, Json(body)).into_response()
}

/// Nanoseconds since 1970.
fn now() -> u64 {
    nanos(SystemTime::now())
}

fn nanos(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}
