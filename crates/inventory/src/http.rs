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
use domain::{
    ItemId, OrderId, StockLevel,
    attributes::ORDER_ID,
    codes::{NOT_ENOUGH, UNKNOWN_ITEM},
};
use serde::{Deserialize, Serialize};
use service::{ApiError, Json, Path, work_on};

use crate::{
    AppState,
    store::{self, Reservation},
};

/// The most of one item that an order can add up to: 100 lines of 10,000 each. What its lines ask
/// of an item comes in one call.
const MAX_QUANTITY: i64 = 1_000_000;

const NO_SUCH_ITEM: &str = "there is no such item";

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
    let no_such_item = || ApiError::not_found(NO_SUCH_ITEM);
    let item: ItemId = item_id.parse().map_err(|_| no_such_item())?;
    let level = store::find_stock(&state.database, &item).await?;
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
    let reserving = store::reserve(&state.database, order, &item, quantity);
    match work_on(ORDER_ID, order.to_string(), reserving).await? {
        Reservation::Reserved(level) => Ok(answer(level)),
        Reservation::Refused => Err(not_enough("there is not enough of this item")),
        Reservation::Released => Err(not_enough("this order has released this item")),
        // Not a refusal of stock: the caller has changed its mind, which is a defect of the caller's.
        Reservation::Differs => Err(ApiError::invalid(
            "quantity",
            "must be what this order reserved before",
        )),
        Reservation::UnknownItem => Err(unknown_item()),
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
    let releasing = store::release(&state.database, order, &item);
    let level = work_on(ORDER_ID, order.to_string(), releasing).await?;
    Ok(answer(level.unwrap_or_else(|| none_of(item))))
}

fn parse_item(text: &str) -> Result<ItemId, ApiError> {
    text.parse().map_err(|_| unknown_item())
}

fn parse_order(text: &str) -> Result<OrderId, ApiError> {
    text.parse().map_err(ApiError::unprocessable)
}

fn parse_quantity(number: i64) -> Result<i64, ApiError> {
    if (1..=MAX_QUANTITY).contains(&number) {
        Ok(number)
    } else {
        let rule = format!("must be 1 to {MAX_QUANTITY}");
        Err(ApiError::invalid("quantity", rule))
    }
}

/// The code tells the worker that inventory itself does not know the item. A bare 404 can come from any router.
fn unknown_item() -> ApiError {
    ApiError::not_found(NO_SUCH_ITEM).with_code(UNKNOWN_ITEM)
}

fn not_enough(message: &str) -> ApiError {
    ApiError::conflict(message).with_code(NOT_ENOUGH)
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
