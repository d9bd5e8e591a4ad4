//! What an order, an item, a stock level and an event are.
//!
//! A value is parsed once, where it comes in, and trusted from then on: there is no [`Quantity`] out
//! of bounds and no [`OrderItems`] without a total that fits. What crosses a process boundary as JSON
//! is each service's own business and stays there, but for the [event](OrderCreated), which is the
//! one thing that two services must understand alike.

pub mod attributes;
pub mod codes;
mod error;
mod event;
mod ids;
mod numbers;
mod order;
mod status;
mod timestamp;

pub use error::InvalidValue;
pub use event::{EventError, ItemBody, OrderCreated};
pub use ids::{CustomerId, ItemId, OrderId};
pub use numbers::{Cents, Quantity};
pub use order::{NewOrder, Order, OrderItem, OrderItems, StockLevel};
pub use status::{MailKind, OrderStatus};
pub use timestamp::Timestamp;
