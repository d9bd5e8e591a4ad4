//! Placing an order: it is given an id, written down, and told of.
//!
//! The id is made here, so this is where it enters the trace: as an attribute of the request's span,
//! which has begun already, and as baggage, from where every later span takes it, in this service and
//! in all that handle the order after it.
//!
//! Order, event and key are one transaction. A request that brings the key of an earlier one places
//! nothing: its span gets a link to the one that did, and no order's id, which marks only the trace in
//! which the order was placed.

use std::time::Duration;

use domain::{NewOrder, Order, OrderId, OrderStatus, Timestamp, attributes::ORDER_ID};
use service::ApiError;
use telemetry::{context, sql::Transaction};

use crate::{
    AppState,
    idempotency::IdempotencyKey,
    store::{self, Claim, PlacedBefore},
};

/// For how long a key is remembered, unless configured otherwise.
pub const KEY_LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);

/// What became of the wish to place an order.
#[derive(Debug)]
pub(crate) enum Placed {
    /// It is placed.
    Now(Order),
    /// It was placed before, under the same key.
    Before(Order),
}

/// Writes down a new order, pending, and has it published.
pub(crate) async fn place(
    state: &AppState,
    new: NewOrder,
    key: Option<IdempotencyKey>,
) -> Result<Placed, ApiError> {
    let order = Order {
        id: OrderId::generate(),
        customer_id: new.customer_id,
        items: new.items,
        status: OrderStatus::Pending,
        created_at: Timestamp::now(),
        trace_id: context::trace_id().map(|id| id.to_string()),
    };
    let db = &state.database;
    let mut transaction = db.begin().await?;
    if let Some(key) = key {
        match store::claim_key(db, &mut transaction, &key, &order, state.key_lifetime).await? {
            Claim::Ours => {}
            Claim::Taken(before) => {
                db.rollback(transaction).await?;
                return placed_before(state, &order, before).await;
            }
            Claim::BeingUsed => {
                let message = "another request with this Idempotency-Key is under way";
                return Err(ApiError::conflict(message));
            }
        }
    }
    let id = order.id.to_string();
    context::set_attribute(ORDER_ID, id.clone());
    context::with_baggage(ORDER_ID, id, commit(state, transaction, &order)).await?;
    state.publisher.committed();
    Ok(Placed::Now(order))
}

async fn commit(state: &AppState, mut transaction: Transaction, order: &Order) -> sqlx::Result<()> {
    let db = &state.database;
    store::insert_order(db, &mut transaction, order).await?;
    state
        .publisher
        .order_created(db, &mut transaction, order)
        .await?;
    db.commit(transaction).await
}

/// The order that was placed under the key, if it is the one that is asked for now.
///
/// An order's customer and items never change, so they are the fingerprint of the request.
async fn placed_before(
    state: &AppState,
    asked: &Order,
    before: PlacedBefore,
) -> Result<Placed, ApiError> {
    let order = store::find_order(&state.database, before.order_id).await?;
    let same = |order: &Order| order.customer_id == asked.customer_id && order.items == asked.items;
    let Some(order) = order.filter(same) else {
        let rule = "has been used for another order";
        return Err(ApiError::invalid("Idempotency-Key", rule));
    };
    if let Some(traceparent) = &before.traceparent {
        context::link_to(traceparent);
    }
    Ok(Placed::Before(order))
}
