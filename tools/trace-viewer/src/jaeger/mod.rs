//! Jaeger's query API: what Jaeger's own page, and everything else that speaks to Jaeger, asks for.
//!
//! The answers are those of Jaeger 2.13 (1.76), recorded in `tests/fixtures`, without the faults that later
//! versions mended: `span.kind`, `error` and the like can be searched for, and reading a trace twice does not
//! double its warnings. Left out are `/api/v3`, metrics and the archive.

mod adjust;
mod answer;
mod dependencies;
mod go;
mod ids;
mod query;
mod tags;
mod trace;

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;
use serde::Serialize;

pub(crate) use adjust::{Shown, adjusted};
use answer::{ApiError, Problem};
pub(crate) use ids::parse_trace_id;
use query::{Params, TraceQuery};
pub(crate) use tags::matches as tag_matches;

use crate::store::{Store, Trace};

/// Everything under `/api`.
pub(crate) fn router(store: Arc<Store>) -> Router {
    Router::new()
        .route("/api/services", get(services))
        .route("/api/services/{service}/operations", get(operation_names))
        .route("/api/operations", get(operations))
        .route("/api/traces", get(search))
        .route("/api/traces/{id}", get(trace))
        .route("/api/dependencies", get(dependencies))
        .route("/api/metrics/{*rest}", get(metrics))
        .route("/api/{*rest}", axum::routing::any(not_found))
        .method_not_allowed_fallback(not_found)
        .with_state(store)
}

async fn services(State(store): State<Arc<Store>>) -> Response {
    let services = of_every_trace(&store, |trace, services: &mut BTreeSet<_>| {
        services.extend(trace.spans.iter().map(|span| span.resource.service.clone()));
    });
    answer::list(services)
}

async fn operation_names(State(store): State<Arc<Store>>, Path(service): Path<String>) -> Response {
    let names = of_every_trace(&store, |trace, names: &mut BTreeSet<_>| {
        let of_service = trace
            .spans
            .iter()
            .filter(|span| *span.resource.service == service);
        names.extend(of_service.map(|span| span.name.clone()));
    });
    answer::list(names)
}

#[derive(Serialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "camelCase")]
struct Operation {
    name: Box<str>,
    span_kind: &'static str,
}

async fn operations(
    State(store): State<Arc<Store>>,
    Query(params): Query<Params>,
) -> Result<Response, ApiError> {
    let service = params.required("service")?;
    let kind = params.get("spanKind");
    let operations = of_every_trace(&store, |trace, operations: &mut BTreeSet<_>| {
        let of_service = trace
            .spans
            .iter()
            .filter(|span| *span.resource.service == *service);
        let of_kind = of_service.filter(|span| kind.is_none_or(|kind| kind == span.kind.name()));
        operations.extend(of_kind.map(|span| Operation {
            name: span.name.clone(),
            span_kind: span.kind.name(),
        }));
    });
    let total = operations.len();
    Ok(answer::data(operations, total, &params))
}

/// One walk over all that is held. A list kept beside the traces would have to forget with them.
fn of_every_trace<T: Default>(store: &Store, mut add: impl FnMut(&Trace, &mut T)) -> T {
    let mut all = T::default();
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
    let query = TraceQuery::parse(&params)?;
    let (found, problems) = if query.trace_ids.is_empty() {
        let limit = query.limit()?;
        (
            store.newest(limit, |trace| query.matches(trace).then(|| trace.clone())),
            None,
        )
    } else {
        by_ids(&store, &query)
    };
    let traces: Vec<_> = found
        .iter()
        .map(|found| trace::render(found, query.raw))
        .collect();
    Ok(answer::with_problems(traces, problems, &params))
}

fn by_ids(store: &Store, query: &TraceQuery) -> (Vec<Trace>, Option<Vec<Problem>>) {
    let mut problems = Vec::new();
    let mut found = Vec::new();
    for id in &query.trace_ids {
        match id.and_then(|id| store.trace(id)) {
            Some(trace) => found.push(trace),
            None => problems.push(Problem::trace_not_found(*id)),
        }
    }
    (found, (!problems.is_empty()).then_some(problems))
}

async fn trace(
    State(store): State<Arc<Store>>,
    Path(id): Path<String>,
    Query(params): Query<Params>,
) -> Result<Response, ApiError> {
    let id = parse_trace_id(&id).map_err(ApiError::bad_request)?;
    let raw = params.bool("raw")?;
    let found = id
        .and_then(|id| store.trace(id))
        .ok_or_else(ApiError::trace_not_found)?;
    Ok(answer::data([trace::render(&found, raw)], 0, &params))
}

async fn dependencies(
    State(store): State<Arc<Store>>,
    Query(params): Query<Params>,
) -> Result<Response, ApiError> {
    let window = dependencies::Window::parse(&params)?;
    let mut links = dependencies::count(&store, &window);
    if let Some(service) = params.get("service") {
        links.retain(|link| *link.parent == *service || *link.child == *service);
    }
    Ok(answer::data(links, 0, &params))
}

async fn metrics() -> ApiError {
    ApiError::new(
        StatusCode::NOT_IMPLEMENTED,
        "metrics querying is currently disabled",
    )
}

async fn not_found() -> Response {
    answer::not_found()
}
