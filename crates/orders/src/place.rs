//! Placing an order: it is given an id, written down, and told of.
//!
//! The id is made here, so this is where it enters the trace: as an attribute of the request's span,
//! which has begun already, and as baggage, from where every later span takes it, in this service and
//! in all that handle the order after it.

use domain::{NewOrder, Order, OrderId, OrderStatus, Timestamp};
use telemetry::context;

use crate::{AppState, store};

/// The attribute, and the baggage entry, by which all spans of an order are found.
const ORDER_ID: &str = "order.id";

/// Writes down a new order, pending, and begins to publish it.
pub(crate) async fn place(state: &AppState, new: NewOrder) -> sqlx::Result<Order> {
    let order = Order {
        id: OrderId::generate(),
        customer_id: new.customer_id,
        items: new.items,
        status: OrderStatus::Pending,
        created_at: Timestamp::now(),
        trace_id: context::trace_id().map(|id| id.to_string()),
    };
    let id = order.id.to_string();
    context::set_attribute(ORDER_ID, id.clone());
    context::with_baggage(ORDER_ID, id, commit_and_publish(state, &order)).await?;
    Ok(order)
}

async fn commit_and_publish(state: &AppState, order: &Order) -> sqlx::Result<()> {
    let db = &state.database;
    let mut transaction = db.begin().await?;
    store::insert_order(db, &mut transaction, order).await?;
    db.commit(transaction).await?;
    state.publisher.order_created(order);
    Ok(())
}
