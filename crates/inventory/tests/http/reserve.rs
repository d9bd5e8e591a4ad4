//! Setting stock aside for an order.

use serde_json::json;

use crate::app::{App, new_order};

#[tokio::test]
async fn stock_moves_from_available_to_reserved() {
    let app = App::start().await;

    let (status, body) = app.reserve("ITEM-010", &new_order(), 7).await;

    let level = json!({"item_id": "ITEM-010", "available": 18, "reserved": 7});
    assert_eq!((status, &body), (200, &level));
    assert_eq!(app.get("/stock/ITEM-010").await, (200, level));
}

#[tokio::test]
async fn the_last_one_can_be_had_and_one_more_cannot() {
    let app = App::start().await;

    let (all, body) = app.reserve("ITEM-010", &new_order(), 25).await;
    assert_eq!((all, &body["available"]), (200, &json!(0)));

    let (one_more, body) = app.reserve("ITEM-010", &new_order(), 1).await;
    let error = json!({"error": "there is not enough of this item", "code": "not_enough"});
    assert_eq!((one_more, body), (409, error));
    assert_eq!(app.levels("ITEM-010").await, (0, 25));
}

#[tokio::test]
async fn an_order_may_sum_up_to_a_hundred_times_the_most_of_one_line() {
    let app = App::start().await;

    let (status, body) = app.reserve("ITEM-001", &new_order(), 1_000_000).await;

    assert_eq!((status, &body["available"]), (200, &json!(0)));
}

#[tokio::test]
async fn asking_again_takes_nothing_more() {
    let app = App::start().await;
    let order = new_order();

    let first = app.reserve("ITEM-010", &order, 7).await;
    let again = app.reserve("ITEM-010", &order, 7).await;

    assert_eq!(first, again);
    assert_eq!(app.levels("ITEM-010").await, (18, 7));
}

#[tokio::test]
async fn one_order_may_hold_several_items() {
    let app = App::start().await;
    let order = new_order();

    assert_eq!(app.reserve("ITEM-001", &order, 1).await.0, 200);
    assert_eq!(app.reserve("ITEM-002", &order, 2).await.0, 200);

    assert_eq!(app.levels("ITEM-001").await, (999_999, 1));
    assert_eq!(app.levels("ITEM-002").await, (999_998, 2));
}

#[tokio::test]
async fn asking_again_for_another_quantity_is_refused_by_name() {
    let app = App::start().await;
    let order = new_order();
    app.reserve("ITEM-010", &order, 7).await;

    let (status, body) = app.reserve("ITEM-010", &order, 8).await;

    assert_eq!(status, 422, "{body}");
    assert!(
        body["error"].as_str().unwrap().contains("quantity"),
        "{body}"
    );
    assert_eq!(app.levels("ITEM-010").await, (18, 7));
}

/// Otherwise a redelivered event could confirm an order whose cancellation has begun.
#[tokio::test]
async fn a_refusal_outlives_a_restock() {
    let app = App::start().await;
    let order = new_order();
    assert_eq!(app.reserve("ITEM-010", &order, 26).await.0, 409);

    app.execute("UPDATE inventory.items SET available = 100 WHERE item_id = 'ITEM-010'")
        .await;

    assert_eq!(app.reserve("ITEM-010", &order, 26).await.0, 409);
    assert_eq!(app.levels("ITEM-010").await, (100, 0));
    assert_eq!(app.reserve("ITEM-010", &new_order(), 26).await.0, 200);
}

#[tokio::test]
async fn an_unknown_item_leaves_no_row() {
    let app = App::start().await;

    for _ in 0..2 {
        let (status, body) = app.reserve("NOPE", &new_order(), 1).await;
        let error = json!({"error": "there is no such item", "code": "unknown_item"});
        assert_eq!((status, body), (404, error));
    }
    assert!(app.reservations().await.is_empty());
}
