//! What the page asks for: lists, one trace, and the traces that changed.
//!
//! Jaeger's API is not enough: it cuts times to microseconds and has no log lines. What the page says about a
//! trace (its verdict, the time in the queue, the critical path) is worked out here and not in the browser,
//! because here it can be tested.

mod critical;
mod detail;
mod entities;
mod journey;
mod list;
mod messages;
mod time;
mod tree;
mod verdict;

use std::time::{SystemTime, UNIX_EPOCH};

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::json;

use crate::app::App;
use crate::model::TraceId;
use crate::store::Store;
pub(crate) use verdict::Tone;

/// Everything under `/view`.
pub(crate) fn router(app: App) -> Router {
    Router::new()
        .route("/view/traces", get(traces))
        .route("/view/traces/{id}", get(trace))
        .route("/view/entities/{id}", get(entity))
        .route("/view/changes", get(changes))
        .with_state(app)
}

async fn traces(State(app): State<App>, Query(filter): Query<list::Filter>) -> Response {
    let now = now();
    match filter.parse() {
        Ok(filter) => {
            let answers = app.answers.clone();
            answers.json(move || list::List { app, filter, now }).await
        }
        Err(message) => {
            (StatusCode::BAD_REQUEST, Json(json!({ "error": message }))).into_response()
        }
    }
}

#[derive(Deserialize)]
struct Asked {
    entity: Option<String>,
}

async fn trace(
    State(app): State<App>,
    Path(id): Path<String>,
    Query(Asked { entity }): Query<Asked>,
) -> Response {
    let now = now();
    let Some(trace) = TraceId::from_hex(&id).and_then(|id| app.store.trace(id)) else {
        return not_held(&app.store, "this trace is not held");
    };
    let answers = app.answers.clone();
    let view = move || detail::View {
        app,
        trace,
        entity,
        now,
    };
    answers.json(view).await
}

async fn entity(State(app): State<App>, Path(id): Path<String>) -> Response {
    let store = app.store.clone();
    let found = tokio::task::spawn_blocking(move || list::of_entity(&app, &id, now())).await;
    match found {
        Ok(found) if found.is_empty() => not_held(&store, "no trace of it is held"),
        Ok(found) => Json(json!({ "traces": found })).into_response(),
        Err(error) => {
            let body = Json(json!({ "error": error.to_string() }));
            (StatusCode::INTERNAL_SERVER_ERROR, body).into_response()
        }
    }
}

#[derive(Deserialize)]
struct Since {
    since: Option<u64>,
}

/// What changed since an earlier answer's `clock`; `changed` is null when everything may have.
///
/// The page asks for this again and again. A stream of events would keep one connection for each tab, and
/// browsers open six to a server over HTTP/1: the seventh tab would not even load.
async fn changes(State(app): State<App>, Query(Since { since }): Query<Since>) -> Response {
    let (clock, changed) = app.store.changed_since(since.unwrap_or_default());
    let changed = changed.map(|ids| ids.iter().map(ToString::to_string).collect::<Vec<_>>());
    Json(json!({ "clock": clock.to_string(), "changed": changed })).into_response()
}

/// Says since when traces are held: this one came before, or never.
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
