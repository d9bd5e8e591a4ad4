//! Step four: what the worker does with one order.
//!
//! A saga, in this order: reserve the stock of every item; decide; and only then undo or tell.
//! 1. Every item reserved → the order is confirmed, and the customer told so.
//! 2. An item unknown or sold out → the order is cancelled, *then* everything is released, then the
//!    customer is told. Released first, a crash in between would leave an order that looks alive
//!    and has no stock.
//!
//! The message may come more than once, and the worker may have died anywhere in between. So every
//! step answers the same when it is asked again, and orders has the last word on what was decided:
//! if it says the order is confirmed already, that is followed, whatever we would decide today.
//!
//! An item that is not to be had is an outcome, not a failure: the `process` span stays clean.

use delivery::{Failure, FailureClass, Handler};
use domain::{MailKind, OrderCreated, OrderStatus};
use messaging::{Message, OwnedMessage};
use tracing::info;

use crate::{email::Email, inventory::Inventory, orders::Orders};

/// Handles `order.created`.
#[derive(Debug, Clone)]
pub struct OrderHandler {
    /// Where stock is reserved and released.
    pub inventory: Inventory,
    /// Where the order's status lives.
    pub orders: Orders,
    /// Who tells the customer.
    pub email: Email,
}

impl Handler for OrderHandler {
    async fn handle(&self, message: &OwnedMessage) -> Result<(), Failure> {
        let order = parse(message)?;
        let status = self.decide(&order).await?;
        if status == OrderStatus::Cancelled {
            self.release(&order).await?;
        }
        self.email.send(&order, mail_for(status)).await?;
        info!(%status, "order handled");
        Ok(())
    }
}

impl OrderHandler {
    /// Confirms or cancels the order; says what it is now.
    async fn decide(&self, order: &OrderCreated) -> Result<OrderStatus, Failure> {
        let wanted = if self.reserve(order).await? {
            OrderStatus::Confirmed
        } else {
            OrderStatus::Cancelled
        };
        self.orders.settle(order.order_id, wanted).await
    }

    /// Reserves item by item, up to the first that is not to be had. True if all are reserved.
    async fn reserve(&self, order: &OrderCreated) -> Result<bool, Failure> {
        for (item, quantity) in order.items.quantities() {
            if !self
                .inventory
                .reserve(order.order_id, &item, quantity)
                .await?
            {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Releases every item, those that were never reserved too: a reservation on its way from an
    /// earlier attempt is then refused.
    async fn release(&self, order: &OrderCreated) -> Result<(), Failure> {
        for item in order.items.quantities().into_keys() {
            self.inventory.release(order.order_id, &item).await?;
        }
        Ok(())
    }
}

fn parse(message: &OwnedMessage) -> Result<OrderCreated, Failure> {
    let payload = message.payload().unwrap_or_default();
    OrderCreated::from_json(payload).map_err(|error| {
        let description = format!("the message is no order: {error}");
        Failure::new(FailureClass::Permanent, "invalid_message", description)
    })
}

fn mail_for(status: OrderStatus) -> MailKind {
    match status {
        OrderStatus::Cancelled => MailKind::Cancellation,
        _ => MailKind::Confirmation,
    }
}
