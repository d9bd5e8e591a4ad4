//! Jaeger's query API, as far as its clients use it: Jaeger's page (1.76), Grafana's Jaeger data source,
//! `orderflow trace` and the tests of this repository.
//!
//! | request | asked for by |
//! |---|---|
//! | `/api/services` | all |
//! | `/api/services/{service}/operations` | Jaeger's page, Grafana |
//! | `/api/traces` with `service`, `operation`, `tags`, `start`, `end`, `minDuration`, `maxDuration`, `limit` | all |
//! | `/api/traces` with `traceID`, repeated | Jaeger's page, to compare two traces |
//! | `/api/traces/{id}` | all |
//! | `/api/dependencies` | Jaeger's page, Grafana |
//!
//! The answers to these are recorded from a Jaeger 2.13 in `tests/fixtures`. Differences: errors are worded
//! by the viewer, spans carry no warnings, a span that was sent twice is answered once, and nothing is sorted
//! that these clients sort themselves. `/api/v3`, metrics and the archive are left out.

mod answer;
mod dependencies;
mod query;
mod tags;
mod trace;

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{any, get};

use answer::ApiError;
use query::{Params, TraceQuery};
pub(crate) use tags::matches as tag_matches;

use crate::model::TraceId;
use crate::store::{Store, Trace};

/// Everything under `/api`.
pub(crate) fn router(store: Arc<Store>) -> Router {
    Router::new()
        .route("/api/services", get(services))
        .route("/api/services/{service}/operations", get(operations))
        .route("/api/traces", get(search))
        .route("/api/traces/{id}", get(trace))
        .route("/api/dependencies", get(dependencies))
        .route("/api/{*rest}", any(not_found))
        .with_state(store)
}

async fn services(State(store): State<Arc<Store>>) -> Response {
    let services = of_every_trace(&store, |trace, services| {
        services.extend(trace.services().map(Into::into));
    });
    answer::names(services)
}

async fn operations(State(store): State<Arc<Store>>, Path(service): Path<String>) -> Response {
    let operations = of_every_trace(&store, |trace, operations| {
        let spans = trace.spans.iter();
        let of_service = spans.filter(|span| *span.resource.service == service);
        operations.extend(of_service.map(|span| span.name.clone()));
    });
    answer::names(operations)
}

/// Names collected from all traces that are held. An index beside the traces would have to forget with them.
fn of_every_trace(
    store: &Store,
    mut add: impl FnMut(&Trace, &mut BTreeSet<Box<str>>),
) -> BTreeSet<Box<str>> {
    let mut all = BTreeSet::new();
    store.newest(usize::MAX, |trace| {
        add(trace, &mut all);
        None::<()>
    });
    all
}

async fn search(
    State(store): State<Arc<Store>>,
    Query(params): Query<Params>,
) -> Result<Response, ApiError> {
    let found = match TraceQuery::parse(&params)? {
        TraceQuery::Ids(ids) => ids.into_iter().filter_map(|id| store.trace(id)).collect(),
        TraceQuery::Search(search) => store.newest(search.limit, |trace| {
            search.matches(trace).then(|| trace.clone())
        }),
    };
    Ok(answer::data(
        found.iter().map(trace::render).collect::<Vec<_>>(),
    ))
}

async fn trace(
    State(store): State<Arc<Store>>,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let id = TraceId::from_hex(&id)
        .ok_or_else(|| ApiError::bad_request(format!("{id:?} is not a trace id")))?;
    let found = store.trace(id);
    let found = found.ok_or(ApiError::new(StatusCode::NOT_FOUND, "trace not found"))?;
    Ok(answer::data([trace::render(&found)]))
}

async fn dependencies(
    State(store): State<Arc<Store>>,
    Query(params): Query<Params>,
) -> Result<Response, ApiError> {
    let window = dependencies::Window::parse(&params)?;
    Ok(answer::data(dependencies::count(&store, &window)))
}

async fn not_found() -> ApiError {
    ApiError::new(StatusCode::NOT_FOUND, "there is no such path")
}
