use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::OrderStatus;

fn valid() -> Value {
    json!({
        "order_id": "0190e6a0-7b1e-7000-8000-000000000001",
        "customer_id": "customer-1",
        "items": [
            {"item_id": "ITEM-001", "quantity": 2, "price": 150},
            {"item_id": "ITEM-002", "quantity": 1, "price": 5, "gift": true},
        ],
        "total": 305,
        "created_at": "2026-11-22T10:00:00.123456Z",
        "a field of tomorrow": [1, {"2": null}],
    })
}

fn parse(event: &Value) -> Result<OrderCreated, EventError> {
    OrderCreated::from_json(event.to_string().as_bytes())
}

fn error_with(pointer: &str, value: Value) -> String {
    let mut event = valid();
    *event.pointer_mut(pointer).unwrap() = value;
    parse(&event).unwrap_err().to_string()
}

#[test]
fn what_is_sent_is_what_the_contract_says() {
    let event = parse(&valid()).unwrap();
    let sent: Value = serde_json::from_slice(&event.to_json()).unwrap();
    let expected = json!({
        "order_id": "0190e6a0-7b1e-7000-8000-000000000001",
        "customer_id": "customer-1",
        "items": [
            {"item_id": "ITEM-001", "quantity": 2, "price": 150},
            {"item_id": "ITEM-002", "quantity": 1, "price": 5},
        ],
        "total": 305,
        "created_at": "2026-11-22T10:00:00.123456Z",
    });
    assert_eq!(sent, expected);
}

#[test]
fn an_event_tells_of_its_order() {
    let event = parse(&valid()).unwrap();
    let order = Order {
        id: event.order_id,
        customer_id: event.customer_id.clone(),
        items: event.items.clone(),
        status: OrderStatus::Pending,
        created_at: event.created_at,
        trace_id: None,
    };
    assert_eq!(OrderCreated::from(&order), event);
}

#[test]
fn every_rule_is_checked_again() {
    let item = |id: &str, quantity: i64, price: i64| json!({"item_id": id, "quantity": quantity, "price": price});
    for (pointer, value, expected) in [
        ("/order_id", json!("secret"), "order_id: must be a UUID"),
        (
            "/order_id",
            json!("9f0c2d5e-0000-4000-8000-000000000001"),
            "order_id: must be a UUID of version 7",
        ),
        (
            "/customer_id",
            json!(" "),
            "customer_id: must have 1 to 128 characters",
        ),
        (
            "/customer_id",
            json!("secret\u{0}"),
            "customer_id: must have no control characters",
        ),
        ("/items", json!([]), "items: must be 1 to 100"),
        (
            "/items",
            json!(vec![item("A", 1, 0); 101]),
            "items: must be 1 to 100",
        ),
        (
            "/items",
            json!([item("A", 2, i64::MAX)]),
            "total: must fit into 64 bits",
        ),
        (
            "/items/0/item_id",
            json!("secret item"),
            "items[0].item_id: must have 1 to 64 letters, digits, '_' or '-'",
        ),
        (
            "/items/1/quantity",
            json!(0),
            "items[1].quantity: must be 1 to 10000",
        ),
        (
            "/items/1/quantity",
            json!(10_001),
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
            "/total",
            json!(306),
            "total: must be the sum of price × quantity",
        ),
        (
            "/created_at",
            json!("secret"),
            "created_at: must be a time of RFC 3339",
        ),
    ] {
        assert_eq!(error_with(pointer, value), expected, "{pointer}");
    }
}

#[test]
fn errors_in_the_json_say_where_and_never_what() {
    for (pointer, value, path) in [
        ("/order_id", json!(4711), "order_id"),
        ("/customer_id", Value::Null, "customer_id"),
        ("/items", Value::Null, "items"),
        ("/items", json!({"4711": 4711}), "items"),
        ("/items/1", json!(4711), "items[1]"),
        ("/items/1", json!({}), "items[1]"),
        ("/items/0/item_id", json!(4711), "items[0].item_id"),
        ("/items/1/quantity", json!("4711"), "items[1].quantity"),
        ("/items/1/quantity", json!(1.5), "items[1].quantity"),
        ("/items/1/price", json!(4711e30), "items[1].price"),
        ("/total", json!(u64::MAX), "total"),
        ("/created_at", json!(4711), "created_at"),
    ] {
        let error = error_with(pointer, value);
        let expected = format!("wrong or missing value at {path}, line 1, column ");
        assert!(error.starts_with(&expected), "{pointer}: {error}");
        assert!(!error.contains("4711"), "{pointer}: {error}");
    }
}

#[test]
fn every_field_is_needed() {
    for (pointer, field, path) in [
        ("", "order_id", "."),
        ("", "customer_id", "."),
        ("", "items", "."),
        ("", "total", "."),
        ("", "created_at", "."),
        ("/items/1", "item_id", "items[1]"),
        ("/items/1", "quantity", "items[1]"),
        ("/items/1", "price", "items[1]"),
    ] {
        let mut event = valid();
        let object = event.pointer_mut(pointer).unwrap().as_object_mut().unwrap();
        object.remove(field).unwrap();
        let error = parse(&event).unwrap_err().to_string();
        let expected = format!("wrong or missing value at {path}, line 1, column ");
        assert!(error.starts_with(&expected), "{field}: {error}");
    }
}

#[test]
fn bytes_that_are_no_event() {
    for (bytes, expected) in [
        (&b""[..], "unexpected end at ., line 1, column 0"),
        (b"secret", "syntax error at ., line 1, column 1"),
        (b"null", "wrong or missing value at ., line 1, column 4"),
        (b"{}", "wrong or missing value at ., line 1, column 2"),
        (
            b"\n{\"items\":[",
            "unexpected end at items, line 2, column 10",
        ),
        (b"\xff\xfe", "syntax error at ., line 1, column 1"),
        (&[0; 1024 * 1024], "syntax error at ., line 1, column 1"),
    ] {
        let error = OrderCreated::from_json(bytes).unwrap_err().to_string();
        assert_eq!(error, expected, "{:?}", &bytes[..bytes.len().min(16)]);
    }
}

#[test]
fn an_event_stands_alone_and_says_each_thing_once() {
    let event = valid().to_string();
    for bytes in [
        format!("{event}{event}"),
        format!("{event},"),
        event.replacen('{', r#"{"total":305,"#, 1),
    ] {
        assert!(
            OrderCreated::from_json(bytes.as_bytes()).is_err(),
            "{bytes}"
        );
    }
    let padded = format!(" \n{event}\n ");
    assert!(OrderCreated::from_json(padded.as_bytes()).is_ok());
}

#[test]
fn depth_does_no_harm() {
    let bytes = [br#"{"deep":"#.to_vec(), vec![b'['; 1024 * 1024]].concat();
    let error = OrderCreated::from_json(&bytes).unwrap_err().to_string();
    assert_eq!(error, "unexpected end at deep, line 1, column 1048584");
}

/// The name of a field that is not known is the sender's, and may be as long as the message.
#[test]
fn a_long_path_is_cut() {
    let bytes = format!(r#"{{"{}": nonsense}}"#, "ä".repeat(100_000));
    let error = OrderCreated::from_json(bytes.as_bytes()).unwrap_err();
    assert!(error.to_string().chars().count() < 128, "{error}");
}

prop_compose! {
    fn any_item()(
        item_id in "[A-Za-z0-9_-]{1,64}",
        quantity in 1_i64..=10_000,
        price in 0_i64..=1_000_000_000_000,
    ) -> OrderItem {
        OrderItem {
            item_id: item_id.parse().unwrap(),
            quantity: quantity.try_into().unwrap(),
            price: price.try_into().unwrap(),
        }
    }
}

prop_compose! {
    fn any_event()(
        customer_id in "\\PC{0,63}[^\\s\\pC]\\PC{0,64}",
        items in prop::collection::vec(any_item(), 1..=100),
        seconds in 0_i64..253_402_300_800,
        nanoseconds in 0_u32..1_000_000_000,
    ) -> OrderCreated {
        let created_at = chrono::DateTime::from_timestamp(seconds, nanoseconds).unwrap();
        OrderCreated {
            order_id: OrderId::generate(),
            customer_id: customer_id.parse().unwrap(),
            items: items.try_into().unwrap(),
            created_at: created_at.into(),
        }
    }
}

proptest! {
    #[test]
    fn an_event_comes_back_as_it_was(event in any_event()) {
        prop_assert_eq!(OrderCreated::from_json(&event.to_json()), Ok(event));
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = OrderCreated::from_json(&bytes);
    }

    /// Closer to the truth than bytes at random: what is taken, is taken for good.
    #[test]
    fn a_damaged_event_is_refused_or_comes_back_as_it_was(at in 0_usize..400, byte in any::<u8>()) {
        let mut bytes = valid().to_string().into_bytes();
        let at = at % bytes.len();
        bytes[at] = byte;
        if let Ok(event) = OrderCreated::from_json(&bytes) {
            prop_assert_eq!(OrderCreated::from_json(&event.to_json()), Ok(event));
        }
    }

    #[test]
    fn an_event_cut_short_is_an_error(cut in 0_usize..400) {
        let event = valid().to_string();
        let cut = cut % event.len();
        prop_assert!(OrderCreated::from_json(&event.as_bytes()[..cut]).is_err());
    }
}
