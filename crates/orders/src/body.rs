//! What goes over the wire as JSON: plain types on the way in, texts and numbers on the way out.
//!
//! A body is parsed in two steps: into one of these structs (a wrong type is a 400), then by hand into
//! values of the domain (a value that breaks a rule is a 422 that names the field). From there on it is
//! trusted.

use domain::{InvalidValue, NewOrder, Order, OrderItem, OrderItems, OrderStatus};
use serde::{Deserialize, Serialize};

#[derive(Debug, Deserialize)]
pub(crate) struct NewOrderBody {
    customer_id: String,
    items: Vec<ItemBody>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ItemBody {
    item_id: String,
    quantity: i64,
    price: i64,
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
        let items = self.items.into_iter().enumerate().map(|(index, item)| {
            let item = item.parse();
            item.map_err(|error| error.within(&format!("items[{index}]")))
        });
        Ok(NewOrder {
            customer_id: self.customer_id.parse()?,
            items: OrderItems::try_from(items.collect::<Result<Vec<_>, _>>()?)?,
        })
    }
}

impl ItemBody {
    fn parse(self) -> Result<OrderItem, InvalidValue> {
        Ok(OrderItem {
            item_id: self.item_id.parse()?,
            quantity: self.quantity.try_into()?,
            price: self.price.try_into()?,
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

impl From<&OrderItem> for ItemBody {
    fn from(item: &OrderItem) -> Self {
        Self {
            item_id: item.item_id.to_string(),
            quantity: item.quantity.get(),
            price: item.price.get(),
        }
    }
}
