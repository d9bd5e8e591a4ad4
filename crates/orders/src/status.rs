//! Moving an order from one status to another.
//!
//! The move is one conditional update: it happens only if the order is still what it was taken for, so
//! of two that come at once one wins and the other is told. Asking for the status that the order has
//! already changes nothing and succeeds, which makes it safe to ask again after an answer was lost.

use domain::{Order, OrderId, OrderStatus};
use telemetry::sql::Database;

use crate::store;

/// What became of the wish.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// The order has the status, now or since earlier.
    Has(Order),
    /// It can't have it: it has this one.
    Refused(OrderStatus),
    /// There is no such order.
    UnknownOrder,
}

/// Gives an order the status `to`: from the status `from`, or without that from whichever it has.
pub(crate) async fn change(
    db: &Database,
    id: OrderId,
    from: Option<OrderStatus>,
    to: OrderStatus,
) -> sqlx::Result<Outcome> {
    let mut expected = from;
    loop {
        if let Some(expected) = expected.filter(|expected| expected.can_become(to))
            && let Some(order) = store::update_status(db, id, expected, to).await?
        {
            return Ok(Outcome::Has(order));
        }
        let Some(order) = store::find_order(db, id).await? else {
            return Ok(Outcome::UnknownOrder);
        };
        if order.status == to {
            return Ok(Outcome::Has(order));
        }
        let as_said = from.is_none_or(|from| from == order.status);
        if !as_said || !order.status.can_become(to) {
            return Ok(Outcome::Refused(order.status));
        }
        // Somebody else was faster, or nobody had said from where. This ends: a status only ever moves
        // on, and there are few.
        expected = Some(order.status);
    }
}
