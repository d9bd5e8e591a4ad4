//! What is refused, how, and that it changes nothing: each kind of bad input, sent to the gateway over
//! a socket, with all services and a real database behind it.
//!
//! Every answer is `{"error", "trace_id"}`, and the trace is the one in the `traceresponse` header.

use e2e::shop::{Answer, Shop, order_of};
use reqwest::{Method, RequestBuilder, header::CONTENT_TYPE};
use serde_json::{Value, json};

use crate::{
    database::Database,
    support::{eventually, own},
};

const JSON: &str = "application/json";

/// A good order with one value changed.
fn with(pointer: &str, value: Value) -> String {
    let mut order = order_of(&[(1, "ITEM-001"), (1, "ITEM-002")]);
    *order.pointer_mut(pointer).expect("such a field") = value;
    order.to_string()
}

/// A good order without one of its fields.
fn without(pointer: &str, field: &str) -> String {
    let mut order = order_of(&[(1, "ITEM-001"), (1, "ITEM-002")]);
    let object = order.pointer_mut(pointer).and_then(Value::as_object_mut);
    object
        .expect("such an object")
        .remove(field)
        .expect("such a field");
    order.to_string()
}

fn items(count: usize) -> String {
    with(
        "/items",
        vec![json!({"item_id": "A", "quantity": 1, "price": 1}); count].into(),
    )
}

#[tokio::test]
async fn bad_input_is_refused_and_changes_nothing() {
    let shop = own("bad-input", |opening| {
        opening.with(|stack| stack.memory_broker())
    })
    .await;
    let customer = shop.customer();
    let key = |key: &str| {
        customer
            .request(Method::POST, "/orders")
            .header("idempotency-key", key)
    };
    let placed = customer
        .place(key("taken"), &[(1, "ITEM-001")])
        .await
        .unwrap();
    let database = Database::of(&shop);
    database.expect_settled(&[placed.id], "confirmed").await;
    let before = database.everything().await;

    refuses_orders(&shop).await;
    refuses_requests(&shop).await;
    for (value, body, status, error) in [
        (
            "taken",
            order_of(&[(2, "ITEM-001")]),
            422,
            "Idempotency-Key",
        ),
        ("a b", order_of(&[(1, "ITEM-001")]), 400, "Idempotency-Key"),
        ("", order_of(&[(1, "ITEM-001")]), 400, "Idempotency-Key"),
    ] {
        let case = format!("key {value:?}");
        assert_refused(&case, key(value).json(&body), &shop, status, error).await;
    }

    assert_eq!(database.everything().await, before);
}

/// Bodies of `POST /orders`.
async fn refuses_orders(shop: &Shop) {
    let good = order_of(&[(1, "ITEM-001")]).to_string();
    let max = i64::MAX;
    let expensive = |quantity: i64| json!([{"item_id": "A", "quantity": quantity, "price": max}]);
    let mut no_utf8 = good.clone().into_bytes();
    no_utf8[20] = 0xff;
    let texts = [
        // Malformed JSON, or a wrong type.
        (JSON, String::new(), 400, "the JSON ends too early"),
        (JSON, good.replace('}', ""), 400, ""),
        (JSON, "order".to_owned(), 400, "this is no JSON"),
        (JSON, format!("{good}{good}"), 400, "this is no JSON"),
        (JSON, "null".to_owned(), 400, "wrong type"),
        (
            JSON,
            without("", "customer_id"),
            400,
            "missing field `customer_id`",
        ),
        (JSON, without("", "items"), 400, "missing field `items`"),
        (
            JSON,
            without("/items/1", "item_id"),
            400,
            "items[1]: missing field `item_id`",
        ),
        (
            JSON,
            without("/items/1", "quantity"),
            400,
            "items[1]: missing field `quantity`",
        ),
        (
            JSON,
            without("/items/1", "price"),
            400,
            "items[1]: missing field `price`",
        ),
        (
            JSON,
            with("/customer_id", json!(7)),
            400,
            "customer_id: wrong type",
        ),
        (JSON, with("/items", json!({})), 400, "items: wrong type"),
        (
            JSON,
            with("/items/1/item_id", json!(1)),
            400,
            "items[1].item_id: wrong type",
        ),
        (
            JSON,
            with("/items/1/quantity", json!("1")),
            400,
            "items[1].quantity: wrong type",
        ),
        (
            JSON,
            with("/items/1/quantity", json!(1.5)),
            400,
            "items[1].quantity: wrong type",
        ),
        (
            JSON,
            with("/items/1/price", json!(null)),
            400,
            "items[1].price: wrong type",
        ),
        // A value that breaks a rule, named by its field.
        (JSON, with("/customer_id", json!("")), 422, "customer_id: "),
        (
            JSON,
            with("/customer_id", json!("   ")),
            422,
            "customer_id: ",
        ),
        (
            JSON,
            with("/customer_id", json!("ä".repeat(129))),
            422,
            "customer_id: ",
        ),
        (
            JSON,
            with("/customer_id", json!("a\nb")),
            422,
            "customer_id: ",
        ),
        (JSON, items(0), 422, "items: must be 1 to 100"),
        (JSON, items(101), 422, "items: must be 1 to 100"),
        (
            JSON,
            with("/items/1/item_id", json!("")),
            422,
            "items[1].item_id: ",
        ),
        (
            JSON,
            with("/items/1/item_id", json!("a/b")),
            422,
            "items[1].item_id: ",
        ),
        (
            JSON,
            with("/items/1/item_id", json!("x".repeat(65))),
            422,
            "items[1].item_id: ",
        ),
        (
            JSON,
            with("/items/1/quantity", json!(0)),
            422,
            "items[1].quantity: must be 1 to 10000",
        ),
        (
            JSON,
            with("/items/1/quantity", json!(-1)),
            422,
            "items[1].quantity: ",
        ),
        (
            JSON,
            with("/items/1/quantity", json!(10_001)),
            422,
            "items[1].quantity: ",
        ),
        (
            JSON,
            with("/items/1/price", json!(-1)),
            422,
            "items[1].price: ",
        ),
        (
            JSON,
            with("/items", expensive(2)),
            422,
            "total: must fit into 64 bits",
        ),
        // Too much, or something else altogether.
        (
            JSON,
            with("/customer_id", json!("x".repeat(65_536))),
            413,
            "the body is too large",
        ),
        (
            "text/plain",
            good.clone(),
            415,
            "the content type must be application/json",
        ),
        (
            "",
            good.clone(),
            415,
            "the content type must be application/json",
        ),
    ];
    let bytes = texts.map(|(kind, text, status, error)| (kind, text.into_bytes(), status, error));
    let no_text = [(JSON, no_utf8, 400, "")];
    for (content_type, body, status, error) in bytes.into_iter().chain(no_text) {
        let case = format!("{content_type} {:.120}", String::from_utf8_lossy(&body));
        let request = shop.customer().request(Method::POST, "/orders");
        let request = request.header(CONTENT_TYPE, content_type).body(body);
        assert_refused(&case, request, shop, status, error).await;
    }
}

/// Everything else than a body.
async fn refuses_requests(shop: &Shop) {
    let post = Method::POST;
    let patch = Method::PATCH;
    for (method, path, status, error) in [
        (
            Method::GET,
            "/orders?limit=0",
            422,
            "limit: must be 1 to 100",
        ),
        (
            Method::GET,
            "/orders?limit=101",
            422,
            "limit: must be 1 to 100",
        ),
        (
            Method::GET,
            "/orders-nplus1?limit=all",
            422,
            "limit: must be 1 to 100",
        ),
        (
            Method::GET,
            "/orders?before=7",
            422,
            "before: must be the id of an order",
        ),
        (Method::GET, "/orders/7", 404, "there is no such order"),
        (
            Method::GET,
            "/orders/0190e6a0-7b1e-7000-8000-000000000001",
            404,
            "there is no such order",
        ),
        (Method::GET, "/orders/a%2Fb", 404, "there is no such thing"),
        (
            Method::GET,
            "/inventory/stock/ITEM-404",
            404,
            "there is no such item",
        ),
        (Method::GET, "/nowhere", 404, "there is no such page"),
        // Internal, and not to be reached from here.
        (patch, "/orders/7/status", 404, "there is no such page"),
        (
            post.clone(),
            "/stock/ITEM-001/reserve",
            404,
            "there is no such page",
        ),
        (
            post.clone(),
            "/inventory/stock/ITEM-001/release",
            404,
            "there is no such page",
        ),
        (post.clone(), "/send", 404, "there is no such page"),
        (
            Method::DELETE,
            "/orders",
            405,
            "this method is not allowed here",
        ),
        (
            post,
            "/orders-nplus1",
            405,
            "this method is not allowed here",
        ),
    ] {
        let case = format!("{method} {path}");
        let request = shop.customer().request(method, path);
        assert_refused(&case, request, shop, status, error).await;
    }
    let foreign = shop.customer().request(Method::GET, "/orders");
    let foreign = foreign.header("host", "evil.example");
    assert_refused(
        "foreign host",
        foreign,
        shop,
        421,
        "this host name is not known here",
    )
    .await;
}

/// Whose fault it is that there is no answer: a service that is away is a 502, one that is too slow a
/// 504, and a database that is away a 503 that says when to come back.
#[tokio::test]
async fn who_is_away_is_named_and_missed_by_nobody_for_long() {
    let mut shop = own("away", |opening| {
        opening.with(|stack| stack.memory_broker())
    })
    .await;
    let order = |shop: &Shop| {
        let request = shop.customer().request(Method::POST, "/orders");
        request.json(&order_of(&[(1, "ITEM-001")]))
    };

    shop.stack.service("orders").kill();
    let error = "the orders service could not be reached";
    assert_refused("orders is away", order(&shop), &shop, 502, error).await;
    shop.stack.service("orders").start_again().await.unwrap();

    shop.stack.service("orders").pause();
    let error = "the orders service took too long";
    assert_refused("orders hangs", order(&shop), &shop, 504, error).await;
    shop.stack.service("orders").resume();

    shop.stack.postgres().kill();
    let answer = eventually(async || {
        let answer = shop.customer().send(order(&shop)).await;
        let answer = answer.map_err(|error| format!("{error:#}"))?;
        (answer.status == 503)
            .then_some(answer)
            .ok_or("no 503".to_owned())
    });
    let answer = answer.await.unwrap();
    assert_is_error(
        "the database is away",
        &answer,
        "not available at the moment",
    );
    assert_eq!(answer.headers["retry-after"], "1");
    shop.stack.postgres().start_again().await.unwrap();

    let back = eventually(async || {
        let placed = shop.customer().order(&[(1, "ITEM-001")]).await;
        placed.map_err(|error| format!("{error:#}"))
    });
    let placed = back.await.unwrap();
    Database::of(&shop)
        .expect_settled(&[placed.id], "confirmed")
        .await;
}

async fn assert_refused(
    case: &str,
    request: RequestBuilder,
    shop: &Shop,
    status: u16,
    error: &str,
) {
    let answer = shop.customer().send(request).await;
    let answer = answer.unwrap_or_else(|error| panic!("{case}: {error:#}"));
    assert_eq!(answer.status, status, "{case}: {}", answer.body);
    assert_is_error(case, &answer, error);
}

fn assert_is_error(case: &str, answer: &Answer, error: &str) {
    let body = &answer.body;
    let said = body["error"]
        .as_str()
        .unwrap_or_else(|| panic!("{case}: {body}"));
    assert!(
        said.contains(error),
        "{case}: {said:?} instead of {error:?}"
    );
    assert_eq!(answer.trace.len(), 32, "{case}");
    let expected = json!({"error": said, "trace_id": answer.trace});
    assert_eq!(*body, expected, "{case}");
}
