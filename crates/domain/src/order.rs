//! An order, from what was asked for to what it became, and what inventory has.

use std::{collections::BTreeMap, ops::Deref};

use crate::{Cents, CustomerId, InvalidValue, ItemId, OrderId, OrderStatus, Quantity, Timestamp};

/// The most lines that an order may have.
const MAX_ITEMS: usize = 100;

/// One line of an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderItem {
    /// What.
    pub item_id: ItemId,
    /// How many.
    pub quantity: Quantity,
    /// What one of them costs.
    pub price: Cents,
}

/// The lines of an order: 1 to 100, with a total that can be counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderItems {
    items: Vec<OrderItem>,
    total: Cents,
}

impl OrderItems {
    /// What all of it costs: the sum of price × quantity.
    #[must_use]
    pub fn total(&self) -> Cents {
        self.total
    }

    /// How many of each item, an item that is named twice summed up, in the order of their names.
    #[must_use]
    pub fn quantities(&self) -> BTreeMap<ItemId, i64> {
        let mut quantities = BTreeMap::new();
        for item in &self.items {
            // 100 lines of 10,000 fit easily.
            *quantities.entry(item.item_id.clone()).or_default() += item.quantity.get();
        }
        quantities
    }
}

impl TryFrom<Vec<OrderItem>> for OrderItems {
    type Error = InvalidValue;

    fn try_from(items: Vec<OrderItem>) -> Result<Self, InvalidValue> {
        if items.is_empty() || items.len() > MAX_ITEMS {
            return Err(InvalidValue::new("items", "must be 1 to 100"));
        }
        let total = items.iter().try_fold(Cents::ZERO, |total, item| {
            total.plus(item.price.times(item.quantity)?)
        });
        match total {
            Some(total) => Ok(Self { items, total }),
            None => Err(InvalidValue::new("total", "must fit into 64 bits")),
        }
    }
}

impl Deref for OrderItems {
    type Target = [OrderItem];

    fn deref(&self) -> &[OrderItem] {
        &self.items
    }
}

/// An order that was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewOrder {
    /// Who asks.
    pub customer_id: CustomerId,
    /// For what.
    pub items: OrderItems,
}

/// An order that was accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// Its id.
    pub id: OrderId,
    /// Who ordered.
    pub customer_id: CustomerId,
    /// What, and for how much.
    pub items: OrderItems,
    /// What has become of it so far.
    pub status: OrderStatus,
    /// When it was accepted.
    pub created_at: Timestamp,
    /// The trace in which it was placed, as 32 hexadecimal digits, if there was one.
    pub trace_id: Option<String>,
}

/// How much there is of an item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StockLevel {
    /// Of what.
    pub item_id: ItemId,
    /// How many can still be reserved.
    pub available: i64,
    /// How many are reserved.
    pub reserved: i64,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(id: &str, quantity: i64, price: i64) -> OrderItem {
        OrderItem {
            item_id: id.parse().unwrap(),
            quantity: quantity.try_into().unwrap(),
            price: price.try_into().unwrap(),
        }
    }

    #[test]
    fn totals_and_their_limits() {
        let max = i64::MAX;
        for (items, expected) in [
            (vec![], Err("items: must be 1 to 100")),
            (vec![item("A", 1, 0); 101], Err("items: must be 1 to 100")),
            (vec![item("A", 1, 1); 100], Ok(100)),
            (vec![item("A", 2, 150), item("B", 1, 5)], Ok(305)),
            (vec![item("A", 1, max)], Ok(max)),
            (vec![item("A", 1, max), item("B", 1, 0)], Ok(max)),
            (vec![item("A", 2, max)], Err("total: must fit into 64 bits")),
            (
                vec![item("A", 1, max), item("B", 1, 1)],
                Err("total: must fit into 64 bits"),
            ),
        ] {
            let total = OrderItems::try_from(items.clone()).map(|items| items.total().get());
            let expected = expected.map_err(str::to_owned);
            assert_eq!(
                total.map_err(|error| error.to_string()),
                expected,
                "{items:?}"
            );
        }
    }

    #[test]
    fn an_item_named_twice_is_summed() {
        let items = vec![item("B", 10_000, 1), item("A", 2, 1), item("B", 10_000, 2)];
        let quantities = OrderItems::try_from(items).unwrap().quantities();
        let expected = [("A".parse().unwrap(), 2), ("B".parse().unwrap(), 20_000)];
        assert_eq!(quantities, BTreeMap::from(expected));
    }
}
