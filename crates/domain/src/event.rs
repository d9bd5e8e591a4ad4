//! The event that an order was created: what orders writes to Kafka and the worker reads.
//!
//! It is checked again on the way in, by the same rules: a topic is open to whoever can write to it.
//! Fields that are not known are ignored, so that a newer sender can add some.

use serde::{Deserialize, Serialize};

use crate::{CustomerId, InvalidValue, Order, OrderId, OrderItem, OrderItems, Timestamp};

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
        /// The field, such as `items[1].quantity`; `.` for the whole.
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
        let body: Body = serde_path_to_error::deserialize(&mut json).map_err(|error| {
            let path = error.path().to_string();
            json_error(path, error.inner())
        })?;
        json.end()
            .map_err(|error| json_error(".".to_owned(), &error))?;
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

#[derive(Serialize, Deserialize)]
struct ItemBody {
    item_id: String,
    quantity: i64,
    price: i64,
}

impl Body {
    fn parse(self) -> Result<OrderCreated, InvalidValue> {
        let items = self.items.into_iter().enumerate().map(|(index, item)| {
            item.parse()
                .map_err(|error| error.within(&format!("items[{index}]")))
        });
        let items = OrderItems::try_from(items.collect::<Result<Vec<_>, _>>()?)?;
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
fn json_error(path: String, error: &serde_json::Error) -> EventError {
    use serde_json::error::Category;
    EventError::Json {
        kind: match error.classify() {
            Category::Eof => "unexpected end",
            Category::Data => "wrong or missing value",
            Category::Syntax | Category::Io => "syntax error",
        },
        path,
        line: error.line(),
        column: error.column(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn valid() -> Value {
        json!({
            "order_id": "0190e6a0-7b1e-7000-8000-000000000001",
            "customer_id": "customer-1",
            "items": [
                {"item_id": "ITEM-001", "quantity": 2, "price": 150},
                {"item_id": "ITEM-002", "quantity": 1, "price": 5},
            ],
            "total": 305,
            "created_at": "2026-11-22T10:00:00.123456Z",
            "a field of tomorrow": [1, 2],
        })
    }

    fn error_with(pointer: &str, value: Value) -> String {
        let mut event = valid();
        *event.pointer_mut(pointer).unwrap() = value;
        OrderCreated::from_json(event.to_string().as_bytes())
            .unwrap_err()
            .to_string()
    }

    #[test]
    fn a_valid_event_comes_back_as_it_was() {
        let event = OrderCreated::from_json(valid().to_string().as_bytes()).unwrap();
        assert_eq!(OrderCreated::from_json(&event.to_json()), Ok(event.clone()));
        let mut sent: Value = serde_json::from_slice(&event.to_json()).unwrap();
        sent["a field of tomorrow"] = json!([1, 2]);
        assert_eq!(sent, valid());
    }

    #[test]
    fn errors_say_where_and_never_what() {
        let wrong = "wrong or missing value at";
        for (pointer, value, expected) in [
            ("/order_id", json!("secret"), "order_id: must be a UUID"),
            (
                "/customer_id",
                json!(""),
                "customer_id: must have 1 to 128 characters",
            ),
            ("/items", json!([]), "items: must be 1 to 100"),
            (
                "/items/1/quantity",
                json!(0),
                "items[1].quantity: must be 1 to 10000",
            ),
            (
                "/items/0/price",
                json!(-1),
                "items[0].price: must be 0 or more cents",
            ),
            (
                "/total",
                json!(304),
                "total: must be the sum of price × quantity",
            ),
            (
                "/created_at",
                json!("secret"),
                "created_at: must be a time of RFC 3339",
            ),
            (
                "/items/1/quantity",
                json!("secret"),
                &format!("{wrong} items[1].quantity, line 1"),
            ),
            (
                "/items/1/quantity",
                json!(1.5),
                &format!("{wrong} items[1].quantity, line 1"),
            ),
            ("/items", Value::Null, &format!("{wrong} items, line 1")),
        ] {
            let error = error_with(pointer, value);
            assert!(error.starts_with(expected), "{pointer}: {error}");
            assert!(!error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn bytes_that_are_no_event() {
        for (bytes, expected) in [
            (&b""[..], "unexpected end at ., line 1, column 0"),
            (b"secret", "syntax error at ., line 1, column 1"),
            (b"null", "wrong or missing value at ., line 1, column 4"),
            (b"{}", "wrong or missing value at ., line 1, column 2"),
            (b"\xff\xfe", "syntax error at ., line 1, column 1"),
            (&[0; 1024 * 1024], "syntax error at ., line 1, column 1"),
        ] {
            let error = OrderCreated::from_json(bytes).unwrap_err().to_string();
            assert_eq!(error, expected, "{:?}", &bytes[..bytes.len().min(8)]);
        }
        let twice = [valid().to_string(), valid().to_string()].concat();
        assert!(OrderCreated::from_json(twice.as_bytes()).is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = OrderCreated::from_json(&bytes);
        }

        #[test]
        fn a_valid_event_cut_short_is_an_error(cut in 0_usize..200) {
            let event = valid().to_string();
            prop_assert!(OrderCreated::from_json(&event.as_bytes()[..cut.min(event.len() - 1)]).is_err());
        }
    }
}
