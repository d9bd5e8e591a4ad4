//! Bad input gets a clear error and changes nothing.

use reqwest::{Method, header::CONTENT_TYPE};
use serde_json::{Value, json};

use crate::app::{App, answer, new_order};

const JSON: &str = "application/json";

const CUSTOMER_LENGTH: &str = "customer_id: must have 1 to 128 characters";
const ITEM_ID: &str = "items[1].item_id: must have 1 to 64 letters, digits, '_' or '-'";
const STATUS: &str = "status: must be pending, confirmed, shipped or cancelled";

/// A good order with one value changed.
fn with(pointer: &str, value: Value) -> String {
    let mut body = new_order();
    *body.pointer_mut(pointer).unwrap() = value;
    body.to_string()
}

fn without(pointer: &str, field: &str) -> String {
    let mut body = new_order();
    body.pointer_mut(pointer)
        .unwrap()
        .as_object_mut()
        .unwrap()
        .remove(field);
    body.to_string()
}

#[tokio::test]
async fn orders_that_are_no_orders() {
    let app = App::start().await;
    app.place().await;
    let before = app.everything().await;
    let item =
        |quantity: i64, price: i64| json!({"item_id": "A", "quantity": quantity, "price": price});

    let good = new_order().to_string();
    let cases: Vec<(&str, Vec<u8>, u16, &str)> = [
        // Not JSON, or not what it should look like.
        (JSON, String::new(), 400, "the JSON ends too early"),
        (JSON, "{".to_owned(), 400, "the JSON ends too early"),
        (JSON, "order".to_owned(), 400, "this is no JSON"),
        (JSON, format!("{good}{good}"), 400, "this is no JSON"),
        (JSON, "[".repeat(10_000), 400, ""),
        (JSON, "null".to_owned(), 400, "wrong type"),
        (JSON, "[]".to_owned(), 400, ""),
        (JSON, "{}".to_owned(), 400, "missing field `customer_id`"),
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
        (
            JSON,
            with("/customer_id", json!(null)),
            400,
            "customer_id: wrong type",
        ),
        (JSON, with("/items", json!("A")), 400, "items: wrong type"),
        (JSON, with("/items", json!(null)), 400, "items: wrong type"),
        (
            JSON,
            with("/items/1", json!(null)),
            400,
            "items[1]: wrong type",
        ),
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
            with("/items/1/quantity", json!(null)),
            400,
            "items[1].quantity: wrong type",
        ),
        (
            JSON,
            with("/items/1/quantity", json!(u64::MAX)),
            400,
            "items[1].quantity: wrong type",
        ),
        (
            JSON,
            with("/items/1/price", json!("5")),
            400,
            "items[1].price: wrong type",
        ),
        (
            JSON,
            with("/items/1/price", json!(0.01)),
            400,
            "items[1].price: wrong type",
        ),
        // Values that break a rule.
        (JSON, with("/customer_id", json!("")), 422, CUSTOMER_LENGTH),
        (
            JSON,
            with("/customer_id", json!(" \t ")),
            422,
            CUSTOMER_LENGTH,
        ),
        (
            JSON,
            with("/customer_id", json!("ä".repeat(129))),
            422,
            CUSTOMER_LENGTH,
        ),
        (
            JSON,
            with("/customer_id", json!("a\u{0}b")),
            422,
            "customer_id: must have no control characters",
        ),
        (
            JSON,
            with("/items", json!([])),
            422,
            "items: must be 1 to 100",
        ),
        (
            JSON,
            with("/items", json!(vec![item(1, 1); 101])),
            422,
            "items: must be 1 to 100",
        ),
        (JSON, with("/items/1/item_id", json!("")), 422, ITEM_ID),
        (JSON, with("/items/1/item_id", json!("a b")), 422, ITEM_ID),
        (JSON, with("/items/1/item_id", json!("../x")), 422, ITEM_ID),
        (
            JSON,
            with("/items/1/item_id", json!("x".repeat(65))),
            422,
            ITEM_ID,
        ),
        (
            JSON,
            with("/items/1/quantity", json!(0)),
            422,
            "items[1].quantity: must be 1 to 1000",
        ),
        (
            JSON,
            with("/items/1/quantity", json!(-1)),
            422,
            "items[1].quantity: must be 1 to 1000",
        ),
        (
            JSON,
            with("/items/1/quantity", json!(10_001)),
            422,
            "items[1].quantity: must be 1 to 1000",
        ),
        (
            JSON,
            with("/items/1/quantity", json!(i64::MAX)),
            422,
            "items[1].quantity: must be 1 to 1000",
        ),
        (
            JSON,
            with("/items/0/price", json!(-1)),
            422,
            "items[0].price: must be 0 or more cents",
        ),
        (
            JSON,
            with("/items", json!([item(2, i64::MAX)])),
            422,
            "total: must fit into 64 bits",
        ),
        (
            JSON,
            with("/items", json!([item(1, i64::MAX), item(1, 1)])),
            422,
            "total: must fit into 64 bits",
        ),
        // Too much, or something else.
        (
            JSON,
            with("/customer_id", json!("x".repeat(64 * 1024))),
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
    ]
    .into_iter()
    .map(|(content_type, body, status, error)| (content_type, body.into_bytes(), status, error))
    .chain([(JSON, b"{\"customer_id\":\"\xff\"}".to_vec(), 400, "")])
    .collect();

    for (content_type, body, status, expected) in cases {
        let case = format!("{content_type} {:.90}", String::from_utf8_lossy(&body));
        let (answered, answer) = app.post_text(content_type, body).await;
        assert_eq!(answered, status, "{case}: {answer}");
        let error = answer["error"].as_str().expect(&case);
        assert!(error.contains(expected), "{case}: {error}");
        assert_eq!(answer.as_object().unwrap().len(), 1, "{case}: {answer}");
    }

    assert_eq!(app.everything().await, before);
}

#[tokio::test]
async fn wishes_that_are_no_statuses() {
    let app = App::start().await;
    let order = app.place().await;
    let before = app.everything().await;
    let here = format!("/orders/{}/status", order["id"].as_str().unwrap());
    let unknown = "/orders/0190e6a0-7b1e-7000-8000-000000000001/status";
    let confirm = r#"{"status":"confirmed"}"#;
    let no_order = "there is no such order";

    for (path, content_type, body, status, expected) in [
        (&*here, JSON, "", 400, "the JSON ends too early"),
        (&here, JSON, "[", 400, "the JSON ends too early"),
        (&here, JSON, "null", 400, "wrong type"),
        (&here, JSON, "{}", 400, "missing field `status`"),
        (&here, JSON, r#"{"status":1}"#, 400, "status: wrong type"),
        (&here, JSON, r#"{"status":null}"#, 400, "status: wrong type"),
        (
            &here,
            JSON,
            r#"{"status":"confirmed","from":1}"#,
            400,
            "from: wrong type",
        ),
        (&here, JSON, r#"{"status":""}"#, 422, STATUS),
        (&here, JSON, r#"{"status":"Confirmed"}"#, 422, STATUS),
        (&here, JSON, r#"{"status":"lost"}"#, 422, STATUS),
        (
            &here,
            JSON,
            r#"{"status":"confirmed","from":"lost"}"#,
            422,
            "from: must be pending, confirmed,",
        ),
        (
            &here,
            "text/plain",
            confirm,
            415,
            "the content type must be",
        ),
        (unknown, JSON, confirm, 404, no_order),
        (
            unknown,
            JSON,
            r#"{"status":"confirmed","from":"pending"}"#,
            404,
            no_order,
        ),
        ("/orders/7/status", JSON, confirm, 404, no_order),
        (
            "/orders/%FF/status",
            JSON,
            confirm,
            404,
            "there is no such thing",
        ),
    ] {
        let case = format!("{path} {body}");
        let request = app
            .http
            .patch(app.url(path))
            .header(CONTENT_TYPE, content_type);
        let (answered, answer) = answer(request.body(body).send().await.unwrap()).await;
        assert_eq!(answered, status, "{case}: {answer}");
        let error = answer["error"].as_str().expect(&case);
        assert!(error.contains(expected), "{case}: {error}");
    }

    assert_eq!(app.everything().await, before);
}

#[tokio::test]
async fn lists_that_can_not_be() {
    let app = App::start().await;
    app.place().await;
    let limit = "limit: must be 1 to 100";
    let before = "before: must be the id of an order";

    for (query, expected) in [
        ("limit=0", limit),
        ("limit=101", limit),
        ("limit=-1", limit),
        ("limit=", limit),
        ("limit=ten", limit),
        ("limit=1.0", limit),
        ("limit=99999999999999999999", limit),
        ("limit=1&limit=2", "query: "),
        ("before=", before),
        ("before=7", before),
        ("before=0190e6a0-7b1e-7000-8000-000000000001", before),
        ("before=%FF", before),
        ("before=7&limit=0", limit),
    ] {
        for path in ["/orders", "/orders-nplus1"] {
            let (status, answer) = app.get(&format!("{path}?{query}")).await;
            assert_eq!(status, 422, "{path}?{query}: {answer}");
            let error = answer["error"].as_str().unwrap();
            assert!(error.contains(expected), "{path}?{query}: {error}");
        }
    }
}

#[tokio::test]
async fn what_is_not_there() {
    let app = App::start().await;
    let too_long = format!("/orders/{}", "7".repeat(2_000));

    for (method, path, status) in [
        (
            Method::GET,
            "/orders/0190e6a0-7b1e-7000-8000-000000000001",
            404,
        ),
        (Method::GET, "/orders/7", 404),
        (Method::GET, "/orders/%00", 404),
        (Method::GET, "/orders/%FF", 404),
        (Method::GET, "/orders/", 404),
        (Method::GET, &too_long, 404),
        (Method::GET, "/", 404),
        (Method::POST, "/orders-nplus1", 405),
        (Method::DELETE, "/orders", 405),
        (Method::DELETE, "/orders/7", 405),
        (Method::POST, "/orders/7/status", 405),
    ] {
        let request = app.http.request(method.clone(), app.url(path));
        let (answered, answer) = answer(request.send().await.unwrap()).await;
        assert_eq!(answered, status, "{method} {path}: {answer}");
        assert!(answer["error"].is_string(), "{method} {path}: {answer}");
    }
}
