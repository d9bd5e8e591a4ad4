//! Random bodies: each is answered as the contract says, and what is refused changes nothing.

use proptest::{
    collection::vec,
    option,
    prelude::*,
    sample::select,
    strategy::ValueTree,
    test_runner::{Config, TestRunner},
};
use serde_json::{Map, Value};
use tokio::runtime::Runtime;

use crate::app::{App, answer};

const CASES: u32 = 150;

/// A value of any JSON type.
fn anything() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(2, 8, 4, |inner| vec(inner, 0..4).prop_map(Value::from))
}

/// Most often one that fits, now and then one at or beyond a bound, seldom anything, and sometimes nothing at all.
fn field(fits: Vec<Value>, bounds: Vec<Value>) -> impl Strategy<Value = Option<Value>> {
    option::weighted(
        0.99,
        prop_oneof![40 => select(fits), 6 => select(bounds), 1 => anything()],
    )
}

fn values<const N: usize, T: Into<Value>>(values: [T; N]) -> Vec<Value> {
    values.map(Into::into).into()
}

fn customer() -> impl Strategy<Value = Option<Value>> {
    let lengths = [127, 128, 129].map(|length| "ä".repeat(length));
    let odd = ["", " ", "a\u{7}", "\u{1F600}"].map(str::to_owned);
    let bounds = [values(lengths), values(odd)].concat();
    field(values(["Ada", " Ada "]), bounds)
}

fn item() -> impl Strategy<Value = Value> {
    let odd = ["", "a b", "ITEM.1"].map(str::to_owned);
    let lengths = [64, 65].map(|length| "x".repeat(length));
    let ids = field(
        values(["ITEM-001", "a_B-9"]),
        [values(odd), values(lengths)].concat(),
    );
    let quantities = field(values([1, 2, 10_000]), values([10_001, 0, -1]));
    let prices = field(
        values([0, 1, 100]),
        values([-1, i64::MAX, i64::MAX / 10_000]),
    );
    (ids, quantities, prices).prop_map(|(id, quantity, price)| {
        object([("item_id", id), ("quantity", quantity), ("price", price)])
    })
}

fn body() -> impl Strategy<Value = Value> {
    let items =
        prop_oneof![8 => vec(item(), 1..3), 1 => vec(item(), 0..1), 1 => vec(item(), 99..102)];
    let items = option::weighted(
        0.99,
        prop_oneof![40 => items.prop_map(Value::from), 1 => anything()],
    );
    (customer(), items)
        .prop_map(|(customer, items)| object([("customer_id", customer), ("items", items)]))
}

fn object<const N: usize>(fields: [(&str, Option<Value>); N]) -> Value {
    let fields = fields.into_iter();
    let there = fields.filter_map(|(name, value)| Some((name.to_owned(), value?)));
    Value::Object(Map::from_iter(there))
}

/// The contract, written once more: a wrong type is a 400, a broken rule a 422.
fn expected(body: &Value) -> u16 {
    let items = body["items"].as_array();
    let types = body["customer_id"].is_string()
        && items.is_some_and(|items| {
            items.iter().all(|item| {
                item["item_id"].is_string() && item["quantity"].is_i64() && item["price"].is_i64()
            })
        });
    let Some(items) = items.filter(|_| types) else {
        return 400;
    };
    let customer = body["customer_id"].as_str().unwrap_or_default().trim();
    let customer_fits =
        (1..=128).contains(&customer.chars().count()) && !customer.contains(char::is_control);
    let item_fits = |item: &Value| {
        let id = item["item_id"].as_str().unwrap_or_default();
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        (1..=64).contains(&id.len())
            && id.bytes().all(is_plain)
            && (1..=10_000).contains(&item["quantity"].as_i64().unwrap_or(0))
            && item["price"].as_i64() >= Some(0)
    };
    let total = items.iter().map(|item| {
        let number = |field: &str| i128::from(item[field].as_i64().unwrap_or(0));
        number("quantity") * number("price")
    });
    let fits = customer_fits
        && (1..=100).contains(&items.len())
        && items.iter().all(item_fits)
        && total.sum::<i128>() <= i128::from(i64::MAX);
    if fits { 201 } else { 422 }
}

#[test]
fn every_body_is_answered_as_the_contract_says() {
    let runtime = Runtime::new().unwrap();
    let app = runtime.block_on(App::start());
    let mut runner = TestRunner::new(Config {
        cases: CASES,
        failure_persistence: None,
        ..Config::default()
    });
    let mut seen = std::collections::BTreeMap::<u16, u32>::new();
    for _ in 0..CASES {
        let body = body().new_tree(&mut runner).unwrap().current();
        let (before, status, said, after) = runtime.block_on(async {
            let before = app.everything().await.len();
            let (status, said) = answer(app.post(&body).await).await;
            (before, status, said, app.everything().await.len())
        });
        assert_eq!(status, expected(&body), "{body}: {said}");
        if status == 201 {
            assert!(after > before, "{body}");
        } else {
            assert_eq!(after, before, "{body}");
            assert!(said["error"].is_string(), "{body}: {said}");
        }
        *seen.entry(status).or_default() += 1;
    }
    // The bodies are worth something only if each kind of answer was given.
    assert!(
        seen.len() == 3 && seen.values().all(|count| *count >= 3),
        "{seen:?}"
    );
}
