//! How an order's status changes.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::app::App;

const ALL: [&str; 4] = ["pending", "confirmed", "shipped", "cancelled"];
const ALLOWED: [(&str, &str); 3] = [
    ("pending", "confirmed"),
    ("pending", "cancelled"),
    ("confirmed", "shipped"),
];

/// An order that has this status.
async fn order(app: &App, status: &str) -> Value {
    let mut order = app.place().await;
    sqlx::query("UPDATE orders.orders SET status = $1 WHERE id = $2::uuid")
        .bind(status)
        .bind(id(&order))
        .execute(app.sql())
        .await
        .unwrap();
    order["status"] = json!(status);
    order
}

fn id(order: &Value) -> &str {
    order["id"].as_str().unwrap()
}

/// Every status, every wish, and every belief about where the order stands.
#[tokio::test]
async fn every_change_that_can_be_asked_for() {
    let app = App::start().await;
    let beliefs = || [None].into_iter().chain(ALL.map(Some));

    for status in ALL {
        for to in ALL {
            for from in beliefs() {
                let case = format!("{status} → {to}, from {from:?}");
                let mut order = order(&app, status).await;
                let mut wish = json!({"status": to});
                if let Some(from) = from {
                    wish["from"] = json!(from);
                }

                let answer = app.patch(id(&order), &wish).await;

                let allowed =
                    ALLOWED.contains(&(status, to)) && from.is_none_or(|from| from == status);
                if allowed || status == to {
                    order["status"] = json!(to);
                    assert_eq!(answer, (200, order.clone()), "{case}");
                } else {
                    let error = format!("an order that is {status} can't become {to}");
                    assert_eq!(
                        answer,
                        (409, json!({"error": error, "status": status})),
                        "{case}"
                    );
                }
                let path = format!("/orders/{}", id(&order));
                assert_eq!(app.get(&path).await, (200, order), "{case}");
            }
        }
    }
}

#[tokio::test]
async fn only_the_order_that_was_meant() {
    let app = App::start().await;
    let (one, other) = (app.place().await, app.place().await);

    app.patch(id(&one), &json!({"status": "cancelled"})).await;

    let path = format!("/orders/{}", id(&other));
    assert_eq!(app.get(&path).await, (200, other));
}

#[tokio::test]
async fn of_many_at_once_one_decides() {
    let app = App::start().await;
    for from in [json!("pending"), json!(null)] {
        let order = app.place().await;
        let wishes: Vec<_> = ["confirmed", "cancelled"]
            .repeat(15)
            .into_iter()
            .map(|status| json!({"status": status, "from": from}))
            .collect();

        let answers = join_all(wishes.iter().map(|wish| app.patch(id(&order), wish))).await;

        let (_, settled) = app.get(&format!("/orders/{}", id(&order))).await;
        for (wish, (status, body)) in wishes.iter().zip(answers) {
            let expected = if wish["status"] == settled["status"] {
                200
            } else {
                409
            };
            assert_eq!(status, expected, "{wish}: {body}");
            assert_eq!(body["status"], settled["status"], "{wish}: {body}");
        }
    }
}

/// The order is confirmed by somebody else between our look at it and our update: what counts is what
/// it has become.
#[tokio::test]
async fn somebody_else_is_faster() {
    let app = App::start().await;
    for (wish, expected) in [("confirmed", 200), ("cancelled", 409), ("shipped", 200)] {
        let order = order(
            &app,
            if wish == "shipped" {
                "confirmed"
            } else {
                "pending"
            },
        )
        .await;
        let mut faster = app.sql().begin().await.unwrap();
        let others = if wish == "shipped" {
            "shipped"
        } else {
            "confirmed"
        };
        sqlx::query("UPDATE orders.orders SET status = $1 WHERE id = $2::uuid")
            .bind(others)
            .bind(id(&order))
            .execute(&mut *faster)
            .await
            .unwrap();

        let wished = json!({"status": wish});
        let ours = app.patch(id(&order), &wished);
        let theirs = async {
            someone_waits(&app).await;
            faster.commit().await.unwrap();
        };
        let ((status, body), ()) = tokio::join!(ours, theirs);

        assert_eq!(
            (status, &body["status"]),
            (expected, &json!(others)),
            "{wish}: {body}"
        );
    }
}

/// Waits until a statement of the service waits for a lock.
async fn someone_waits(app: &App) {
    let waits = async {
        let query = "SELECT count(*) FROM pg_stat_activity
                     WHERE datname = current_database() AND wait_event_type = 'Lock'";
        while sqlx::query_scalar::<_, i64>(query)
            .fetch_one(app.sql())
            .await
            .unwrap()
            == 0
        {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), waits)
        .await
        .expect("nobody waits");
}
