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
use serde::{Serialize, Serializer};

use answer::ApiError;
use query::{Params, TraceQuery};
pub(crate) use tags::matches as tag_matches;

use crate::app::App;
use crate::model::TraceId;
use crate::store::{Store, Trace};

/// Everything under `/api`.
pub(crate) fn router(app: App) -> Router {
    Router::new()
        .route("/api/services", get(services))
        .route("/api/services/{service}/operations", get(operations))
        .route("/api/traces", get(search))
        .route("/api/traces/{id}", get(trace))
        .route("/api/dependencies", get(dependencies))
        .route("/api/{*rest}", any(not_found))
        .with_state(app)
}

async fn services(State(app): State<App>) -> Response {
    let services = move || {
        of_every_trace(&app.store, |trace, services| {
            services.extend(trace.services().map(Into::into));
        })
    };
    app.answers
        .clone()
        .json(move || answer::names(services()))
        .await
}

async fn operations(State(app): State<App>, Path(service): Path<String>) -> Response {
    let operations = move || {
        of_every_trace(&app.store, |trace, operations| {
            let spans = trace.spans.iter();
            let of_service = spans.filter(|span| *span.resource.service == service);
            operations.extend(of_service.map(|span| span.name.clone()));
        })
    };
    app.answers
        .clone()
        .json(move || answer::names(operations()))
        .await
}

/// Names collected from all traces that are held. An index beside the traces would have to forget with them.
fn of_every_trace(
    store: &Store,
    add: impl Fn(&Trace, &mut BTreeSet<Box<str>>),
) -> BTreeSet<Box<str>> {
    let mut all = BTreeSet::new();
    store.newest().for_each(|trace| add(&trace, &mut all));
    all
}

async fn search(
    State(app): State<App>,
    Query(params): Query<Params>,
) -> Result<Response, ApiError> {
    let query = TraceQuery::parse(&params)?;
    let answers = app.answers.clone();
    let found = move || answer::data(Found { app, query });
    Ok(answers.json(found).await)
}

/// The traces that a query finds, each written before the next one is looked for.
struct Found {
    app: App,
    query: TraceQuery,
}

impl Serialize for Found {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { app, query } = self;
        let rendered = |trace: Arc<Trace>| trace::Rendered::new(&app.answers, trace);
        match query {
            TraceQuery::Ids(ids) => {
                let found = ids.iter().filter_map(|id| app.store.trace(*id));
                serializer.collect_seq(found.map(rendered))
            }
            TraceQuery::Search(search) => {
                let found = app.store.newest().filter(|trace| search.matches(trace));
                serializer.collect_seq(found.take(search.limit).map(rendered))
            }
        }
    }
}

async fn trace(State(app): State<App>, Path(id): Path<String>) -> Result<Response, ApiError> {
    let id = TraceId::from_hex(&id)
        .ok_or_else(|| ApiError::bad_request(format!("{id:?} is not a trace id")))?;
    let found = app.store.trace(id);
    let found = found.ok_or(ApiError::new(StatusCode::NOT_FOUND, "trace not found"))?;
    let answers = app.answers.clone();
    let render = move || answer::data([trace::Rendered::new(&app.answers, found)]);
    Ok(answers.json(render).await)
}

async fn dependencies(
    State(app): State<App>,
    Query(params): Query<Params>,
) -> Result<Response, ApiError> {
    let window = dependencies::Window::parse(&params)?;
    let answers = app.answers.clone();
    let count = move || answer::data(dependencies::count(&app, &window));
    Ok(answers.json(count).await)
}

async fn not_found() -> ApiError {
    ApiError::new(StatusCode::NOT_FOUND, "there is no such path")
}
