//! Moving an order from one status to another.
//!
//! The move is one conditional update, which happens only if the order still has a status that allows it. So of two
//! requests at the same time one wins, and the other is answered with the status that the order has then. Asking for the
//! status that the order has already changes nothing and succeeds, so a request whose answer was lost can be repeated.

use domain::{Order, OrderId, OrderStatus};
use telemetry::sql::Database;

use crate::store;

/// The result of a request to change a status.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// The order has the status, now or since earlier.
    Has(Order),
    /// The order has this status, from which the change is not allowed.
    Refused(OrderStatus),
    /// There is no such order.
    UnknownOrder,
}

/// Gives an order the status `to`, if its status is `from`; `None`: if its status is one that allows it.
pub(crate) async fn change(
    db: &Database,
    id: OrderId,
    from: Option<OrderStatus>,
    to: OrderStatus,
) -> sqlx::Result<Outcome> {
    let allowed: Vec<_> = OrderStatus::ALL
        .into_iter()
        .filter(|status| status.can_become(to) && from.is_none_or(|from| from == *status))
        .collect();
    if !allowed.is_empty()
        && let Some(order) = store::update_status(db, id, &allowed, to).await?
    {
        return Ok(Outcome::Has(order));
    }
    Ok(match store::find_order(db, id).await? {
        Some(order) if order.status == to => Outcome::Has(order),
        Some(order) => Outcome::Refused(order.status),
        None => Outcome::UnknownOrder,
    })
}
