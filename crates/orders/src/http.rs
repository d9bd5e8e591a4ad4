//! What a request may ask, and how it is answered.
//!
//! How bodies look is in `body.rs`. An id in a path is not a value but a name: one that is no id names
//! nothing, and is a 404 like any that is unknown.

use axum::{
    Router,
    extract::State,
    http::{HeaderMap, HeaderName, StatusCode, header::LOCATION},
    response::{IntoResponse, Response},
    routing::{get, patch},
};
use domain::{InvalidValue, Order, OrderId, attributes::ORDER_ID};
use serde::Deserialize;
use service::{AnswerBudget, ApiError, Json, Path, Query, work_on};

use crate::{
    AppState,
    body::{ConflictBody, NewOrderBody, OrderBody, StatusBody},
    idempotency::IdempotencyKey,
    place::{self, Placed},
    status::{self, Outcome},
    store::{self, Page, Position},
};

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// Says that the order was placed by an earlier request with this key.
const IDEMPOTENT_REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

const DEFAULT_LIMIT: i64 = 100;
/// A page of 100 orders of 100 items is up to 1.5 MB.
const MAX_LIMIT: i64 = 100;
/// How many bytes of pages may wait to be read by their clients.
const MAX_ANSWERS: u32 = 24 * 1024 * 1024;

/// The routes, without what all services share.
pub fn router(state: AppState) -> Router {
    let routes = Router::new()
        .route("/orders", get(list_orders).post(place_order))
        .route("/orders-nplus1", get(list_orders_one_by_one))
        .route("/orders/{id}", get(show_order))
        .route("/orders/{id}/status", patch(change_status))
        .with_state(state);
    AnswerBudget::new(MAX_ANSWERS).apply(routes)
}

/// Both as text: a number that is none breaks a rule, rather than the request.
#[derive(Deserialize)]
struct ListQuery {
    limit: Option<String>,
    before: Option<String>,
}

async fn place_order(
    State(state): State<AppState>,
    headers: HeaderMap,
    Json(body): Json<NewOrderBody>,
) -> Result<Response, ApiError> {
    let key = parse_key(&headers)?;
    let new = body.parse().map_err(ApiError::unprocessable)?;
    let (order, replayed) = match place::place(&state, new, key).await? {
        Placed::Now(order) => (order, None),
        Placed::Before(order) => (order, Some([(IDEMPOTENT_REPLAYED, "true")])),
    };
    let location = [(LOCATION, format!("/orders/{}", order.id))];
    let body = Json(OrderBody::from(order));
    Ok((StatusCode::CREATED, location, replayed, body).into_response())
}

async fn list_orders(
    State(state): State<AppState>,
    Query(query): Query<ListQuery>,
) -> Result<Json<Vec<OrderBody>>, ApiError> {
    let page = parse_page(&state, query).await?;
    let orders = store::list_orders(&state.database, &page).await?;
    Ok(list(orders))
}

/// The same list by one query for each order. It is here to be seen in a trace, not to be copied.
async fn list_orders_one_by_one(
    State(state): State<AppState>,
    Query(query): Query<ListQuery>,
) -> Result<Json<Vec<OrderBody>>, ApiError> {
    let page = parse_page(&state, query).await?;
    let orders = store::list_orders_one_by_one(&state.database, &page).await?;
    Ok(list(orders))
}

async fn show_order(
    State(state): State<AppState>,
    Path(id): Path<String>,
) -> Result<Json<OrderBody>, ApiError> {
    let order = store::find_order(&state.database, parse_id(&id)?).await?;
    Ok(Json(order.ok_or_else(no_such_order)?.into()))
}

async fn change_status(
    State(state): State<AppState>,
    Path(id): Path<String>,
    Json(body): Json<StatusBody>,
) -> Result<Response, ApiError> {
    let id = parse_id(&id)?;
    let (from, to) = body.parse().map_err(ApiError::unprocessable)?;
    let changing = status::change(&state.database, id, from, to);
    match work_on(ORDER_ID, id.to_string(), changing).await? {
        Outcome::Has(order) => Ok(Json(OrderBody::from(order)).into_response()),
        Outcome::Refused(status) => {
            let error = format!("an order that is {status} can't become {to}");
            let status = status.as_str();
            Ok((StatusCode::CONFLICT, Json(ConflictBody { error, status })).into_response())
        }
        Outcome::UnknownOrder => Err(no_such_order()),
    }
}

fn list(orders: Vec<Order>) -> Json<Vec<OrderBody>> {
    Json(orders.into_iter().map(OrderBody::from).collect())
}

fn parse_key(headers: &HeaderMap) -> Result<Option<IdempotencyKey>, ApiError> {
    let mut values = headers.get_all(IDEMPOTENCY_KEY).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() {
        return Err(ApiError::bad_request("Idempotency-Key: must be sent once"));
    }
    // A value that is not ASCII can't be a key: `parse` refuses the empty string as it refuses that one.
    let key = value.to_str().unwrap_or_default().parse();
    key.map(Some)
        .map_err(|error: InvalidValue| ApiError::bad_request(error.to_string()))
}

async fn parse_page(state: &AppState, query: ListQuery) -> Result<Page, ApiError> {
    let limit = parse_limit(query.limit.as_deref())?;
    let before = match query.before {
        Some(id) => Some(find_position(state, &id).await?),
        None => None,
    };
    Ok(Page { before, limit })
}

/// A page begins behind an order that is there: an empty page for an id that is wrong would look like
/// the end of the list.
async fn find_position(state: &AppState, id: &str) -> Result<Position, ApiError> {
    let no_order = || ApiError::invalid("before", "must be the id of an order");
    let id = id.parse().map_err(|_| no_order())?;
    let position = store::find_position(&state.database, id).await?;
    position.ok_or_else(no_order)
}

fn parse_limit(limit: Option<&str>) -> Result<i64, ApiError> {
    let Some(limit) = limit else {
        return Ok(DEFAULT_LIMIT);
    };
    let number = limit.parse().ok();
    let number = number.filter(|number| (1..=MAX_LIMIT).contains(number));
    number.ok_or_else(|| ApiError::invalid("limit", format_args!("must be 1 to {MAX_LIMIT}")))
}

fn parse_id(id: &str) -> Result<OrderId, ApiError> {
    id.parse().map_err(|_| no_such_order())
}

fn no_such_order() -> ApiError {
    ApiError::not_found("there is no such order")
}
