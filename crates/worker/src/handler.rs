//! Step four: what the worker does with one order.
//!
//! A saga, in this order: reserve the stock of every item; decide; and only then compensate or notify.
//! 1. Every item is reserved → confirm the order, then send the confirmation mail.
//! 2. An item is unknown or sold out → cancel the order, *then* release every item, then send the cancellation mail.
//!    If we released first and crashed before cancelling, the order would still be `pending` with no stock reserved,
//!    and a retry could confirm it.
//!
//! A message may be delivered again after a crash at any point, so every step gives the same answer when it is
//! repeated:
//!
//! | crash after | what the next delivery does |
//! |---|---|
//! | some items reserved | reserves them again without effect, goes on with the rest |
//! | confirmed | reserves again without effect; orders answers `confirmed`; sends the mail |
//! | cancelled | orders answers `cancelled`, whatever stock there is now; releases, sends the mail |
//! | some items released | releases them again without effect, goes on with the rest |
//! | mail sent | email does not send it again |
//!
//! An unknown or sold-out item is an outcome, not a failure: the `process` span keeps its status.
//!
//! The order's id comes from the message, not from its headers: a message that a person sends again without headers
//! still is found by its order.

use delivery::{Failure, FailureClass, Handler};
use domain::{MailKind, OrderCreated, OrderStatus, attributes::ORDER_ID};
use messaging::{Message, OwnedMessage};
use service::work_on;
use tracing::info;

use crate::{email::Email, inventory::Inventory, orders::Orders};

/// Handles `order.created`.
#[derive(Debug, Clone)]
pub struct OrderHandler {
    /// Reserves and releases stock.
    pub inventory: Inventory,
    /// Owns the order's status.
    pub orders: Orders,
    /// Sends the mail to the customer.
    pub email: Email,
}

impl Handler for OrderHandler {
    async fn handle(&self, message: &OwnedMessage) -> Result<(), Failure> {
        let order = parse(message)?;
        work_on(ORDER_ID, order.order_id.to_string(), self.settle(&order)).await
    }
}

impl OrderHandler {
    async fn settle(&self, order: &OrderCreated) -> Result<(), Failure> {
        let status = self.decide(order).await?;
        if status == OrderStatus::Cancelled {
            self.release(order).await?;
        }
        self.email.send(order, mail_for(status)).await?;
        info!(%status, "order handled");
        Ok(())
    }

    /// Confirms or cancels the order; returns the status that it has now.
    async fn decide(&self, order: &OrderCreated) -> Result<OrderStatus, Failure> {
        let wanted = if self.reserve(order).await? {
            OrderStatus::Confirmed
        } else {
            OrderStatus::Cancelled
        };
        self.orders.settle(order.order_id, wanted).await
    }

    /// Reserves item by item, up to the first that is refused. True if all are reserved.
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

    /// Releases every item, including those that were never reserved: inventory then refuses a reservation that an
    /// earlier attempt still has in flight.
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
