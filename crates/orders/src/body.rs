//! What goes over the wire as JSON: plain types on the way in, texts and numbers on the way out.
//!
//! A body is parsed in two steps: into one of these structs (a wrong type is a 400), then by hand into
//! values of the domain (a value that breaks a rule is a 422 that names the field). From there on it is
//! trusted.

use domain::{InvalidValue, ItemBody, NewOrder, Order, OrderStatus};
use serde::{Deserialize, Serialize};

#[derive(Debug, Deserialize)]
pub(crate) struct NewOrderBody {
    customer_id: String,
    items: Vec<ItemBody>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct StatusBody {
    status: String,
    from: Option<String>,
}

#[derive(Debug, Serialize)]
pub(crate) struct OrderBody {
    id: String,
    customer_id: String,
    items: Vec<ItemBody>,
    total: i64,
    status: &'static str,
    created_at: String,
    trace_id: Option<String>,
}

/// Why an order did not get a status: the one that it has.
#[derive(Debug, Serialize)]
pub(crate) struct ConflictBody {
    pub(crate) error: String,
    pub(crate) status: &'static str,
}

impl NewOrderBody {
    pub(crate) fn parse(self) -> Result<NewOrder, InvalidValue> {
        Ok(NewOrder {
            customer_id: self.customer_id.parse()?,
            items: ItemBody::parse_all(self.items)?,
        })
    }
}

impl StatusBody {
    /// The status from which, if that was said, and the one to go to.
    pub(crate) fn parse(self) -> Result<(Option<OrderStatus>, OrderStatus), InvalidValue> {
        let to = self.status.parse()?;
        let from = self.from.map(|from| from.parse()).transpose();
        let from = from.map_err(|error| InvalidValue {
            field: "from".to_owned(),
            ..error
        })?;
        Ok((from, to))
    }
}

impl From<Order> for OrderBody {
    fn from(order: Order) -> Self {
        Self {
            id: order.id.to_string(),
            customer_id: order.customer_id.to_string(),
            items: order.items.iter().map(ItemBody::from).collect(),
            total: order.items.total().get(),
            status: order.status.as_str(),
            created_at: order.created_at.to_string(),
            trace_id: order.trace_id,
        }
    }
}
