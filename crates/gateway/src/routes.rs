//! What may be asked, and of whom.
//!
//! Each public route is named, and so is where it leads: a service's other routes are out of reach,
//! because nothing is passed on that is not written here.

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::header::LOCATION;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::Response;
use axum::routing::get;
use domain::attributes;
use service::{ApiError, Path};

use crate::forward::{REPLAYED, Upstream};

/// The services behind.
#[derive(Clone, Debug)]
pub(crate) struct Upstreams {
    pub(crate) orders: Upstream,
    pub(crate) inventory: Upstream,
}

pub(crate) fn public(upstreams: Upstreams) -> Router {
    Router::new()
        .route("/orders", get(list_orders).post(place_order))
        .route("/orders-nplus1", get(list_orders_one_by_one))
        .route("/orders/{id}", get(show_order))
        .route("/inventory/stock", get(list_stock))
        .route("/inventory/stock/{item_id}", get(show_stock))
        .with_state(upstreams)
}

async fn list_orders(State(upstreams): State<Upstreams>, uri: Uri) -> Result<Response, ApiError> {
    upstreams.orders.get("/orders", &uri).await
}

async fn list_orders_one_by_one(
    State(upstreams): State<Upstreams>,
    uri: Uri,
) -> Result<Response, ApiError> {
    upstreams.orders.get("/orders-nplus1", &uri).await
}

async fn show_order(
    State(upstreams): State<Upstreams>,
    Path(id): Path<String>,
    uri: Uri,
) -> Result<Response, ApiError> {
    let id = segment(&id)?;
    upstreams.orders.get(&format!("/orders/{id}"), &uri).await
}

async fn place_order(
    State(upstreams): State<Upstreams>,
    uri: Uri,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, ApiError> {
    let body = body.map_err(|rejection| unreadable(&rejection))?;
    let answer = upstreams
        .orders
        .post("/orders", &uri, &headers, body)
        .await?;
    // Only now is there an id to find the trace by.
    if let Some(id) = placed_order(&answer) {
        telemetry::context::set_attribute(attributes::ORDER_ID, id.to_owned());
    }
    Ok(answer)
}

async fn list_stock(State(upstreams): State<Upstreams>, uri: Uri) -> Result<Response, ApiError> {
    upstreams.inventory.get("/stock", &uri).await
}

async fn show_stock(
    State(upstreams): State<Upstreams>,
    Path(item_id): Path<String>,
    uri: Uri,
) -> Result<Response, ApiError> {
    let item_id = segment(&item_id)?;
    upstreams
        .inventory
        .get(&format!("/stock/{item_id}"), &uri)
        .await
}

fn unreadable(rejection: &BytesRejection) -> ApiError {
    match rejection.status() {
        status @ StatusCode::PAYLOAD_TOO_LARGE => {
            ApiError::refused(status, "the body is too large")
        }
        status => ApiError::refused(status, "the body could not be read"),
    }
}

/// An id that may become a part of a path again. Ids have no other characters than these, and so
/// nothing with a slash or a dot, encoded or not, gets to where it could mean another route.
fn segment(id: &str) -> Result<&str, ApiError> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    if id.bytes().all(is_plain) {
        Ok(id)
    } else {
        Err(ApiError::not_found("there is no such thing"))
    }
}

/// The id in the `Location` of a 201, unless an earlier request has placed that order: the id marks
/// the trace in which that happened.
fn placed_order(answer: &Response) -> Option<&str> {
    if answer.status() != StatusCode::CREATED || answer.headers().contains_key(REPLAYED) {
        return None;
    }
    let location = answer.headers().get(LOCATION)?.to_str().ok()?;
    let id = location.strip_prefix("/orders/")?;
    segment(id).ok()
}
