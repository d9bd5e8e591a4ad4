//! Giving back what an order holds.

use serde_json::json;

use crate::app::{App, new_order};

#[tokio::test]
async fn stock_is_given_back_once() {
    let app = App::start().await;
    let order = new_order();
    app.reserve("ITEM-010", &order, 7).await;
    app.reserve("ITEM-010", &new_order(), 3).await;

    for _ in 0..2 {
        let answer = app.release("ITEM-010", &order).await;
        let level = json!({"item_id": "ITEM-010", "available": 22, "reserved": 3});
        assert_eq!(answer, (200, level));
    }
}

#[tokio::test]
async fn only_this_item_of_this_order() {
    let app = App::start().await;
    let order = new_order();
    app.reserve("ITEM-001", &order, 1).await;
    app.reserve("ITEM-002", &order, 2).await;

    app.release("ITEM-001", &order).await;

    assert_eq!(app.levels("ITEM-001").await, (1_000_000, 0));
    assert_eq!(app.levels("ITEM-002").await, (999_998, 2));
}

#[tokio::test]
async fn what_was_released_is_not_reserved_again() {
    let app = App::start().await;
    let order = new_order();
    app.reserve("ITEM-010", &order, 7).await;
    app.release("ITEM-010", &order).await;

    let (status, body) = app.reserve("ITEM-010", &order, 7).await;

    assert_eq!(
        (status, &body["code"]),
        (409, &json!("not_enough")),
        "{body}"
    );
    assert_eq!(app.levels("ITEM-010").await, (25, 0));
}

#[tokio::test]
async fn a_release_that_comes_first_refuses_the_late_reserve() {
    let app = App::start().await;
    let order = new_order();

    let answer = app.release("ITEM-010", &order).await;
    assert_eq!(
        answer,
        (
            200,
            json!({"item_id": "ITEM-010", "available": 25, "reserved": 0})
        )
    );

    assert_eq!(app.reserve("ITEM-010", &order, 7).await.0, 409);
    assert_eq!(app.levels("ITEM-010").await, (25, 0));
}

#[tokio::test]
async fn of_what_was_refused_nothing_comes_back() {
    let app = App::start().await;
    let order = new_order();
    app.reserve("ITEM-010", &order, 26).await;

    assert_eq!(app.release("ITEM-010", &order).await.0, 200);

    assert_eq!(app.levels("ITEM-010").await, (25, 0));
    assert_eq!(app.reserve("ITEM-010", &order, 26).await.0, 409);
}

/// Whoever cancels an order releases all of its items, the unknown one among them.
#[tokio::test]
async fn of_an_unknown_item_there_is_nothing_to_hold() {
    let app = App::start().await;
    let order = new_order();

    for _ in 0..2 {
        let answer = app.release("NOPE", &order).await;
        assert_eq!(
            answer,
            (
                200,
                json!({"item_id": "NOPE", "available": 0, "reserved": 0})
            )
        );
    }

    app.execute("INSERT INTO inventory.items VALUES ('NOPE', 5, 0)")
        .await;
    assert_eq!(app.reserve("NOPE", &order, 1).await.0, 409);
}
