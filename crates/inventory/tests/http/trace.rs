//! What a request leaves in its trace: so many statements, and no more.

use reqwest::RequestBuilder;
use serde_json::json;

use crate::app::{App, new_order};

const FIND: &str = "SELECT inventory.items";
const INSERT: &str = "INSERT inventory.reservations";
const READ: &str = "SELECT inventory.reservations";
const MOVE: &str = "UPDATE inventory.items";
const REFUSE: &str = "UPDATE inventory.reservations";

#[tokio::test]
async fn statements_of_each_request() {
    let app = App::start().await;
    let order = new_order();
    let too_many = new_order();
    let reserve = |item: &str, order: &str, quantity: i64| {
        let request = app.http.post(app.url(&format!("/stock/{item}/reserve")));
        request.json(&json!({"order_id": order, "quantity": quantity}))
    };
    let release = |item: &str, order: &str| {
        let request = app.http.post(app.url(&format!("/stock/{item}/release")));
        request.json(&json!({"order_id": order}))
    };

    let cases: Vec<(&str, RequestBuilder, Vec<&str>)> = vec![
        ("list", app.http.get(app.url("/stock")), vec![FIND]),
        ("show", app.http.get(app.url("/stock/ITEM-001")), vec![FIND]),
        ("impossible", app.http.get(app.url("/stock/a.b")), vec![]),
        ("ready", app.http.get(app.url("/readyz")), vec![]),
        (
            "reserve",
            reserve("ITEM-010", &order, 2),
            vec!["BEGIN", INSERT, MOVE, "COMMIT"],
        ),
        (
            "again",
            reserve("ITEM-010", &order, 2),
            vec!["BEGIN", INSERT, READ, FIND],
        ),
        (
            "too many",
            reserve("ITEM-010", &too_many, 99),
            vec!["BEGIN", INSERT, MOVE, REFUSE, "COMMIT"],
        ),
        (
            "unknown",
            reserve("NOPE", &order, 2),
            vec!["BEGIN", INSERT, MOVE, REFUSE],
        ),
        (
            "release",
            release("ITEM-010", &order),
            vec!["BEGIN", INSERT, MOVE, "COMMIT"],
        ),
        (
            "release again",
            release("ITEM-010", &order),
            vec!["BEGIN", INSERT, FIND, "COMMIT"],
        ),
    ];
    for (case, request, expected) in cases {
        let statements = app
            .spans
            .statements_on_behalf_of(("order.id", &order), request)
            .await;
        assert_eq!(statements, expected, "{case}");
    }
}
