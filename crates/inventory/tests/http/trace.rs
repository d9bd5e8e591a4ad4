//! What a request leaves in its trace: so many statements, and no more.

use std::time::Duration;

use opentelemetry_sdk::trace::SpanData;
use reqwest::RequestBuilder;
use serde_json::json;
use telemetry::testing::attributes;

use crate::app::{App, new_order};

const FIND: &str = "SELECT inventory.items";
const INSERT: &str = "INSERT inventory.reservations";
const READ: &str = "SELECT inventory.reservations";
const MOVE: &str = "UPDATE inventory.items";
const REFUSE: &str = "UPDATE inventory.reservations";

/// More than a span takes to end.
const SOON: Duration = Duration::from_secs(60);

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

    let unknown = new_order();
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
            reserve("NOPE", &unknown, 2),
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
        let order = match case {
            "too many" => &too_many,
            "unknown" => &unknown,
            _ => &order,
        };
        let statements = app
            .spans
            .statements_on_behalf_of(("order.id", order), request)
            .await;
        assert_eq!(statements, expected, "{case}");
    }
}

/// The order's id comes from the body, so a call without baggage is found by its order as well.
#[tokio::test]
async fn the_order_is_on_every_span_without_baggage() {
    let app = App::start().await;
    for call in ["reserve", "release"] {
        app.spans.clear();
        let order = new_order();
        let body = json!({"order_id": order, "quantity": 1});
        let path = format!("/stock/ITEM-010/{call}");
        assert_eq!(app.post(&path, &body).await.0, 200);

        let server = format!("POST /stock/{{item_id}}/{call}");
        let is_server = |span: &SpanData| span.name == server;
        let ended = |spans: &[SpanData]| spans.iter().any(is_server);
        for span in app.spans.wait_until(SOON, ended).await {
            let id = attributes(&span).get("order.id").map(ToString::to_string);
            assert_eq!(id, Some(order.clone()), "{call}: {span:#?}");
        }
    }
}
