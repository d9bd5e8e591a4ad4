//! The event that an order was created: what orders writes to Kafka and the worker reads.
//!
//! It is checked again on the way in, by the same rules: a topic is open to whoever can write to it.
//! Fields that are not known are ignored, so that a newer sender can add some.

use serde::{Deserialize, Serialize};

use crate::{CustomerId, InvalidValue, Order, OrderId, OrderItem, OrderItems, Timestamp};

#[cfg(test)]
mod tests;

/// The longest path that an error names, in characters. A field that is not known can have any name.
const MAX_PATH: usize = 64;

/// An order was created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderCreated {
    /// The order.
    pub order_id: OrderId,
    /// Who ordered.
    pub customer_id: CustomerId,
    /// What, and for how much.
    pub items: OrderItems,
    /// When.
    pub created_at: Timestamp,
}

/// Bytes that are no event.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EventError {
    /// They are no JSON of the right shape. Says where, never what stands there.
    #[error("{kind} at {path}, line {line}, column {column}")]
    Json {
        /// What is wrong: `syntax error`, `wrong or missing value`, `unexpected end`.
        kind: &'static str,
        /// The field, such as `items[1].quantity`; `.` for the whole. A long one is cut.
        path: String,
        /// Counted from 1.
        line: usize,
        /// Counted from 1; 0 before the first.
        column: usize,
    },
    /// A value breaks a rule.
    #[error(transparent)]
    Value(#[from] InvalidValue),
}

impl OrderCreated {
    /// The topic of these events.
    pub const TOPIC: &'static str = "order.created";
    /// How many partitions the topic has.
    pub const PARTITIONS: i32 = 6;

    /// The event as it is sent.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        let body = Body {
            order_id: self.order_id.to_string(),
            customer_id: self.customer_id.to_string(),
            items: self.items.iter().map(ItemBody::from).collect(),
            total: self.items.total().get(),
            created_at: self.created_at.to_string(),
        };
        serde_json::to_vec(&body).expect("strings and integers always have a JSON form")
    }

    /// The event that was sent.
    ///
    /// # Errors
    /// Bytes that are no JSON, or not of this shape, or that break a rule.
    pub fn from_json(bytes: &[u8]) -> Result<Self, EventError> {
        let mut json = serde_json::Deserializer::from_slice(bytes);
        let body: Body = serde_path_to_error::deserialize(&mut json)
            .map_err(|error| json_error(&error.path().to_string(), error.inner()))?;
        json.end().map_err(|error| json_error(".", &error))?;
        body.parse().map_err(EventError::from)
    }
}

impl From<&Order> for OrderCreated {
    fn from(order: &Order) -> Self {
        Self {
            order_id: order.id,
            customer_id: order.customer_id.clone(),
            items: order.items.clone(),
            created_at: order.created_at,
        }
    }
}

#[derive(Serialize, Deserialize)]
struct Body {
    order_id: String,
    customer_id: String,
    items: Vec<ItemBody>,
    total: i64,
    created_at: String,
}

/// A line of an order as JSON, in the event and in HTTP bodies alike.
#[derive(Debug, Serialize, Deserialize)]
pub struct ItemBody {
    item_id: String,
    quantity: i64,
    price: i64,
}

impl Body {
    fn parse(self) -> Result<OrderCreated, InvalidValue> {
        let items = ItemBody::parse_all(self.items)?;
        if items.total().get() != self.total {
            return Err(InvalidValue::new(
                "total",
                "must be the sum of price × quantity",
            ));
        }
        Ok(OrderCreated {
            order_id: self.order_id.parse()?,
            customer_id: self.customer_id.parse()?,
            items,
            created_at: self.created_at.parse()?,
        })
    }
}

impl ItemBody {
    /// The lines of an order.
    ///
    /// # Errors
    /// A line breaks a rule, which is named as `items[1].quantity`, or all of them together do.
    pub fn parse_all(items: Vec<Self>) -> Result<OrderItems, InvalidValue> {
        let items = items.into_iter().enumerate().map(|(index, item)| {
            let item = item.parse();
            item.map_err(|error| error.within(&format!("items[{index}]")))
        });
        OrderItems::try_from(items.collect::<Result<Vec<_>, _>>()?)
    }

    fn parse(self) -> Result<OrderItem, InvalidValue> {
        Ok(OrderItem {
            item_id: self.item_id.parse()?,
            quantity: self.quantity.try_into()?,
            price: self.price.try_into()?,
        })
    }
}

impl From<&OrderItem> for ItemBody {
    fn from(item: &OrderItem) -> Self {
        Self {
            item_id: item.item_id.to_string(),
            quantity: item.quantity.get(),
            price: item.price.get(),
        }
    }
}

/// serde's own messages quote the value; ours say only where it is.
fn json_error(path: &str, error: &serde_json::Error) -> EventError {
    use serde_json::error::Category;
    EventError::Json {
        kind: match error.classify() {
            Category::Eof => "unexpected end",
            Category::Data => "wrong or missing value",
            Category::Syntax | Category::Io => "syntax error",
        },
        path: path.chars().take(MAX_PATH).collect(),
        line: error.line(),
        column: error.column(),
    }
}
