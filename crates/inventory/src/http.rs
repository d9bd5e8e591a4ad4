//! What a request may ask, and how it is answered.
//!
//! Bodies are parsed in two steps: into a struct of plain types (a wrong type is a 400), then by
//! hand into values of the domain (a value against the rules is a 422 that names the field). An
//! item in the path is different: an id that no item can have is the id of no item, a 404.

use axum::{
    Router,
    extract::State,
    routing::{get, post},
};
use domain::{InvalidValue, ItemId, OrderId, StockLevel};
use serde::{Deserialize, Serialize};
use service::{ApiError, Json, Path};

use crate::{
    AppState,
    store::{self, Reservation},
};

/// The most of one item that an order can add up to: 100 lines of 10,000 each. What its lines ask
/// of an item comes in one call.
const MAX_QUANTITY: i64 = 1_000_000;

/// The routes, without what all services share.
pub fn router(state: AppState) -> Router {
    Router::new()
        .route("/stock", get(list_stock))
        .route("/stock/{item_id}", get(show_stock))
        .route("/stock/{item_id}/reserve", post(reserve))
        .route("/stock/{item_id}/release", post(release))
        .with_state(state)
}

#[derive(Deserialize)]
struct ReserveBody {
    order_id: String,
    quantity: i64,
}

#[derive(Deserialize)]
struct ReleaseBody {
    order_id: String,
}

#[derive(Serialize)]
struct StockBody {
    item_id: String,
    available: i64,
    reserved: i64,
}

async fn list_stock(State(state): State<AppState>) -> Result<Json<Vec<StockBody>>, ApiError> {
    let levels = store::list_stock(&state.database).await?;
    Ok(Json(levels.into_iter().map(StockBody::from).collect()))
}

async fn show_stock(
    State(state): State<AppState>,
    Path(item_id): Path<String>,
) -> Result<Json<StockBody>, ApiError> {
    let item = parse_item(&item_id)?;
    let db = &state.database;
    let level = store::find_stock(db, db.pool(), &item).await?;
    level.map(answer).ok_or_else(no_such_item)
}

async fn reserve(
    State(state): State<AppState>,
    Path(item_id): Path<String>,
    Json(body): Json<ReserveBody>,
) -> Result<Json<StockBody>, ApiError> {
    let item = parse_item(&item_id)?;
    let order = parse_order(&body.order_id)?;
    let quantity = parse_quantity(body.quantity)?;
    match store::reserve(&state.database, order, &item, quantity).await? {
        Reservation::Reserved(level) => Ok(answer(level)),
        Reservation::Refused => Err(ApiError::conflict("there is not enough of this item")),
        Reservation::Released => Err(ApiError::conflict("this order has released this item")),
        // No 409: to the one who asks it would mean that the item is sold out.
        Reservation::Differs => Err(ApiError::invalid(
            "quantity",
            "must be what this order reserved before",
        )),
        Reservation::UnknownItem => Err(no_such_item()),
    }
}

/// Always succeeds: afterwards the order holds nothing of the item. That is also true of an item
/// that does not exist, so whoever cancels an order releases all its items alike.
async fn release(
    State(state): State<AppState>,
    Path(item_id): Path<String>,
    Json(body): Json<ReleaseBody>,
) -> Result<Json<StockBody>, ApiError> {
    let item = parse_item(&item_id)?;
    let order = parse_order(&body.order_id)?;
    let level = store::release(&state.database, order, &item).await?;
    Ok(answer(level.unwrap_or_else(|| none_of(item))))
}

fn parse_item(text: &str) -> Result<ItemId, ApiError> {
    text.parse().map_err(|_| no_such_item())
}

fn parse_order(text: &str) -> Result<OrderId, ApiError> {
    let parsed: Result<_, InvalidValue> = text.parse();
    parsed.map_err(|error| ApiError::invalid(&error.field, error.rule))
}

fn parse_quantity(number: i64) -> Result<i64, ApiError> {
    if (1..=MAX_QUANTITY).contains(&number) {
        Ok(number)
    } else {
        let rule = format!("must be 1 to {MAX_QUANTITY}");
        Err(ApiError::invalid("quantity", rule))
    }
}

fn no_such_item() -> ApiError {
    ApiError::not_found("there is no such item")
}

fn none_of(item_id: ItemId) -> StockLevel {
    StockLevel {
        item_id,
        available: 0,
        reserved: 0,
    }
}

fn answer(level: StockLevel) -> Json<StockBody> {
    Json(StockBody::from(level))
}

impl From<StockLevel> for StockBody {
    fn from(level: StockLevel) -> Self {
        Self {
            item_id: level.item_id.to_string(),
            available: level.available,
            reserved: level.reserved,
        }
    }
}
