//! The same request twice, by its `Idempotency-Key`.

use futures_util::future::join_all;
use reqwest::Response;
use serde_json::{Value, json};
use telemetry::testing::attributes;

use crate::app::{App, answer, new_order};

async fn post(app: &App, key: &str, body: &Value) -> Response {
    let request = app
        .http
        .post(app.url("/orders"))
        .header("idempotency-key", key);
    request.json(body).send().await.unwrap()
}

#[tokio::test]
async fn the_same_key_and_order_place_one_order() {
    let app = App::start().await;
    let first = post(&app, "key", &new_order()).await;
    assert!(!first.headers().contains_key("idempotent-replayed"));
    let location = first.headers()["location"].clone();
    let (_, order) = answer(first).await;
    let placed = app.everything().await;

    // In quotes it is the same key.
    for key in ["key", "\"key\""] {
        let again = post(&app, key, &new_order()).await;
        assert_eq!(again.headers()["idempotent-replayed"], "true");
        assert_eq!(again.headers()["location"], location);
        assert_eq!(answer(again).await, (201, order.clone()));
    }
    assert_eq!(app.everything().await, placed);

    let (status, other) = answer(post(&app, "another-key", &new_order()).await).await;
    assert_eq!(status, 201);
    assert_ne!(other["id"], order["id"]);
}

#[tokio::test]
async fn a_repeated_request_points_to_the_trace_of_the_first() {
    let app = App::start().await;
    post(&app, "key", &new_order()).await;
    let first = app.ended("POST /orders").await;
    post(&app, "key", &new_order()).await;
    let second = &app.all_ended("POST /orders", 2).await[1];
    let link = &second.links.links[0].span_context;
    assert_eq!(link.span_id(), first.span_context.span_id());
    assert_eq!(link.trace_id(), first.span_context.trace_id());
    let has_order_id = |span| attributes(span).contains_key("order.id");
    assert!(has_order_id(&first) && !has_order_id(second));
}

#[tokio::test]
async fn the_same_key_with_another_order_is_refused() {
    let app = App::start().await;
    assert_eq!(post(&app, "key", &new_order()).await.status(), 201);
    let placed = app.everything().await;
    let mut other = new_order();
    other["customer_id"] = json!("Grace");
    let refused = answer(post(&app, "key", &other).await).await;
    let error = "Idempotency-Key: has been used for another order";
    assert_eq!(refused, (422, json!({ "error": error })));
    assert_eq!(app.everything().await, placed);
}

#[tokio::test]
async fn a_key_that_is_none_is_refused() {
    let app = App::start().await;
    let error = "Idempotency-Key: must have 1 to 255 visible ASCII characters";
    for key in ["", "\"\"", "a b", "\u{e4}", &"x".repeat(256)] {
        let refused = answer(post(&app, key, &new_order()).await).await;
        assert_eq!(refused, (400, json!({ "error": error })), "{key:?}");
    }
    assert_eq!(app.everything().await, Vec::<String>::new());
}

/// One of two keys would have to be ignored, and the client could not know which.
#[tokio::test]
async fn two_keys_are_refused() {
    let app = App::start().await;
    for second in ["key", "another-key"] {
        let request = app.http.post(app.url("/orders"));
        let request = request.header("idempotency-key", "key");
        let request = request.header("idempotency-key", second);
        let refused = request.json(&new_order()).send().await.unwrap();
        let error = "Idempotency-Key: must be sent once";
        assert_eq!(answer(refused).await, (400, json!({ "error": error })));
    }
    assert_eq!(app.everything().await, Vec::<String>::new());
}

/// What was refused has placed nothing, so its key is still free.
#[tokio::test]
async fn a_refused_order_does_not_use_its_key_up() {
    let app = App::start().await;
    let mut body = new_order();
    body["items"] = json!([]);
    assert_eq!(post(&app, "key", &body).await.status(), 422);
    assert_eq!(post(&app, "key", &new_order()).await.status(), 201);
}

#[tokio::test]
async fn many_at_once_place_one_order() {
    let app = App::start().await;
    let body = new_order();
    let answers = join_all((0..8).map(|_| post(&app, "key", &body))).await;
    let mut ids = Vec::new();
    for response in answers {
        let (status, order) = answer(response).await;
        assert_eq!(status, 201);
        ids.push(order["id"].clone());
    }
    ids.dedup();
    assert_eq!(ids.len(), 1, "{ids:?}");
}

#[tokio::test]
async fn who_waits_too_long_for_the_first_is_told_so() {
    let app = App::start().await;
    // Another request's transaction, which does not end.
    let mut transaction = app.sql().begin().await.unwrap();
    let claim = "INSERT INTO orders.idempotency_keys (key, order_id, created_at)
                 VALUES ('key', gen_random_uuid(), now())";
    sqlx::query(claim).execute(&mut *transaction).await.unwrap();
    let (status, error) = answer(post(&app, "key", &new_order()).await).await;
    let expected = "another request with this Idempotency-Key is under way";
    assert_eq!((status, &error["error"]), (409, &json!(expected)));
    // It has failed: the key is free.
    transaction.rollback().await.unwrap();
    assert_eq!(post(&app, "key", &new_order()).await.status(), 201);
}

#[tokio::test]
async fn an_expired_key_places_a_new_order() {
    let app = App::start().await;
    let (_, first) = answer(post(&app, "key", &new_order()).await).await;
    app.execute("UPDATE orders.idempotency_keys SET created_at = created_at - interval '25 hours'")
        .await;
    let (status, second) = answer(post(&app, "key", &new_order()).await).await;
    assert_eq!(status, 201);
    assert_ne!(first["id"], second["id"]);
}

/// The limit on lock waits is for the claim. If it lasted, an insert that waits a little longer for a lock would fail.
#[tokio::test]
async fn the_limit_on_lock_waits_ends_with_the_claim() {
    let app = App::start().await;
    app.execute(
        "CREATE TABLE orders.seen (lock_timeout text);
         CREATE FUNCTION orders.note() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
         BEGIN
             INSERT INTO orders.seen VALUES (current_setting('lock_timeout'));
             RETURN NEW;
         END $$;
         CREATE TRIGGER note BEFORE INSERT ON orders.orders
             FOR EACH ROW EXECUTE FUNCTION orders.note();",
    )
    .await;
    assert_eq!(post(&app, "key", &new_order()).await.status(), 201);
    let seen = sqlx::query_scalar("SELECT lock_timeout FROM orders.seen");
    let seen: Vec<String> = seen.fetch_all(app.sql()).await.unwrap();
    assert_eq!(seen, ["0"]);
}
