//! Placing an order, and finding it again.

use serde_json::{Value, json};
use telemetry::testing::caller;
use uuid::Uuid;

use crate::app::{App, answer, new_order};

#[tokio::test]
async fn an_order_is_answered_as_it_was_written() {
    let app = App::start().await;
    let (traceparent, trace) = caller();

    let request = app.http.post(app.url("/orders")).json(&new_order());
    let response = request
        .header("traceparent", traceparent)
        .send()
        .await
        .unwrap();

    let location = response.headers()["location"].to_str().unwrap().to_owned();
    assert_eq!(response.headers()["content-type"], "application/json");
    let (status, order) = answer(response).await;
    let (id, created_at) = (text(&order, "id"), text(&order, "created_at"));
    let expected = json!({
        "id": id,
        "customer_id": "Ada",
        "items": [
            {"item_id": "ITEM-002", "quantity": 2, "price": 150},
            {"item_id": "ITEM-001", "quantity": 1, "price": 5},
        ],
        "total": 305,
        "status": "pending",
        "created_at": created_at,
        "trace_id": trace.to_string(),
    });
    assert_eq!((status, &order), (201, &expected));
    assert_eq!(id.parse::<Uuid>().unwrap().get_version_num(), 7);
    assert_eq!(
        (created_at.len(), created_at.ends_with('Z')),
        ("2026-11-22T10:00:00.123456Z".len(), true)
    );
    assert_eq!(location, format!("/orders/{id}"));
    assert_eq!(app.get(&location).await, (200, expected));
}

#[tokio::test]
async fn orders_at_the_limits() {
    let app = App::start().await;
    let item = |id: &str, quantity: i64, price: i64| json!({"item_id": id, "quantity": quantity, "price": price});
    let long_customer = "ä".repeat(128);
    let long_item = "x".repeat(64);
    let cases = [
        (
            "free of charge",
            json!({"customer_id": "Ada", "items": [item("A", 1, 0)]}),
            0,
        ),
        (
            "many",
            json!({"customer_id": "Ada", "items": vec![item("A", 10_000, 3); 100]}),
            3_000_000,
        ),
        (
            "dear",
            json!({"customer_id": "Ada", "items": [item("A", 1, i64::MAX), item("B", 9, 0)]}),
            i64::MAX,
        ),
        (
            "an item twice",
            json!({"customer_id": "Ada", "items": [item("A", 1, 2), item("A", 2, 3)]}),
            8,
        ),
        (
            "long names",
            json!({"customer_id": long_customer, "items": [item(&long_item, 1, 1)]}),
            1,
        ),
        (
            "fields of tomorrow",
            json!({"customer_id": "Ada", "colour": 1, "items": [item("A", 1, 1)]}),
            1,
        ),
    ];
    for (case, body, total) in cases {
        let (status, order) = answer(app.post(&body).await).await;

        assert_eq!(
            (status, &order["total"]),
            (201, &json!(total)),
            "{case}: {order}"
        );
        assert_eq!(order["customer_id"], body["customer_id"], "{case}");
        assert_eq!(order["items"], body["items"], "{case}");
        let path = format!("/orders/{}", text(&order, "id"));
        assert_eq!(app.get(&path).await, (200, order), "{case}");
    }
}

#[tokio::test]
async fn spaces_around_a_customer_are_no_part_of_the_name() {
    let app = App::start().await;
    let mut body = new_order();
    body["customer_id"] = json!("  Ada Lovelace\n");

    let (status, order) = answer(app.post(&body).await).await;

    assert_eq!((status, text(&order, "customer_id")), (201, "Ada Lovelace"));
}

/// Whether it is the items that can't be written, or the commit that fails: nothing stays, and nobody
/// is told of it.
#[tokio::test]
async fn an_order_is_written_with_its_items_or_not_at_all() {
    const REFUSE: &str = "
        CREATE FUNCTION orders.refuse() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE EXCEPTION 'a secret of the database'; END $$;";
    const ITEMS: &str = "
        CREATE TRIGGER refuse BEFORE INSERT ON orders.order_items
        FOR EACH ROW EXECUTE FUNCTION orders.refuse();";
    const COMMIT: &str = "
        DROP TRIGGER refuse ON orders.order_items;
        CREATE CONSTRAINT TRIGGER refuse AFTER INSERT ON orders.orders
        DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION orders.refuse();";
    let app = App::start().await;
    app.execute(REFUSE).await;

    for refused in [ITEMS, COMMIT] {
        app.execute(refused).await;

        let answer = answer(app.post(&new_order()).await).await;

        assert_eq!(answer, (500, json!({"error": "internal error"})));
        assert_eq!(app.everything().await, Vec::<String>::new());
    }
    assert!(app.spans.named("send order.created").is_empty());
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap()
}
