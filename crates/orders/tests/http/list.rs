//! Lists of orders, page by page.

use serde_json::{Value, json};

use crate::app::App;

/// Seven orders within five microseconds, three of them in the same one.
const SEVEN: &str = "
    INSERT INTO orders.orders (id, customer_id, total, status, created_at, trace_id)
    SELECT ('0190e6a0-7b1e-7000-8000-00000000000' || n)::uuid, 'Ada', 2 * n, 'pending',
           '2026-11-22T10:00:00Z'::timestamptz + least(n, 5) * interval '1 microsecond', NULL
    FROM generate_series(1, 7) AS n;
    INSERT INTO orders.order_items (order_id, position, item_id, quantity, price)
    SELECT ('0190e6a0-7b1e-7000-8000-00000000000' || n)::uuid, position, 'ITEM-' || position, 1, n
    FROM generate_series(1, 7) AS n, generate_series(2, 1, -1) AS position;";

#[tokio::test]
async fn nothing_is_an_empty_list() {
    let app = App::start().await;

    for path in ["/orders", "/orders-nplus1"] {
        assert_eq!(app.get(path).await, (200, json!([])), "{path}");
    }
}

#[tokio::test]
async fn newest_first_each_as_it_is_alone() {
    let app = App::start().await;
    app.execute(SEVEN).await;
    let placed = app.place().await;

    let (status, list) = app.get("/orders").await;

    assert_eq!(status, 200);
    assert_eq!(list[0], placed);
    assert_eq!(numbers(&list)[1..], [7, 6, 5, 4, 3, 2, 1]);
    let first = json!({
        "id": "0190e6a0-7b1e-7000-8000-000000000001",
        "customer_id": "Ada",
        "items": [
            {"item_id": "ITEM-1", "quantity": 1, "price": 1},
            {"item_id": "ITEM-2", "quantity": 1, "price": 1},
        ],
        "total": 2,
        "status": "pending",
        "created_at": "2026-11-22T10:00:00.000001Z",
        "trace_id": null,
    });
    assert_eq!(list[7], first);
    for order in list.as_array().unwrap() {
        let path = format!("/orders/{}", order["id"].as_str().unwrap());
        assert_eq!(app.get(&path).await, (200, order.clone()));
    }
    assert_eq!(app.get("/orders-nplus1").await, (200, list));
}

/// Whatever the size of a page, the pages together are the list: also where one ends between orders of
/// the same microsecond.
#[tokio::test]
async fn pages_make_up_the_list() {
    let app = App::start().await;
    app.execute(SEVEN).await;
    let (_, all) = app.get("/orders").await;

    for limit in 1..=8 {
        for path in ["/orders", "/orders-nplus1"] {
            let mut seen = Vec::new();
            let mut before = String::new();
            loop {
                let (status, page) = app.get(&format!("{path}?limit={limit}{before}")).await;
                assert_eq!(status, 200, "{page}");
                let page = page.as_array().unwrap().clone();
                let Some(last) = page.last() else { break };
                assert!(page.len() <= limit, "{limit}");
                before = format!("&before={}", last["id"].as_str().unwrap());
                seen.extend(page);
            }
            assert_eq!(json!(seen), all, "{path} limit {limit}");
        }
    }
}

#[tokio::test]
async fn a_page_has_a_hundred_orders_or_as_many_as_asked() {
    let app = App::start().await;
    app.execute(
        "INSERT INTO orders.orders (id, customer_id, total, status, created_at)
         SELECT gen_random_uuid(), 'Ada', 1, 'shipped', now() + n * interval '1 second'
         FROM generate_series(1, 101) AS n;
         INSERT INTO orders.order_items (order_id, position, item_id, quantity, price)
         SELECT id, 1, 'A', 1, 1 FROM orders.orders;",
    )
    .await;

    for (query, expected) in [
        ("", 100),
        ("?limit=1", 1),
        ("?limit=99", 99),
        ("?limit=100", 100),
    ] {
        let (_, list) = app.get(&format!("/orders{query}")).await;
        assert_eq!(list.as_array().unwrap().len(), expected, "{query}");
    }
}

/// The last digits of the ids.
fn numbers(list: &Value) -> Vec<u64> {
    let ids = list
        .as_array()
        .unwrap()
        .iter()
        .map(|order| order["id"].as_str().unwrap());
    ids.map(|id| id[35..].parse().unwrap_or(0)).collect()
}
