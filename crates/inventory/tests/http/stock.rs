//! Reading stock levels.

use serde_json::json;

use crate::app::App;

#[tokio::test]
async fn the_list_has_every_item_in_order() {
    let app = App::start().await;

    let (status, body) = app.get("/stock").await;

    assert_eq!(status, 200);
    let mut expected: Vec<_> = (1..=9)
        .map(|n| json!({"item_id": format!("ITEM-00{n}"), "available": 1_000_000, "reserved": 0}))
        .collect();
    expected.push(json!({"item_id": "ITEM-010", "available": 25, "reserved": 0}));
    assert_eq!(body, json!(expected));
}

#[tokio::test]
async fn one_item() {
    let app = App::start().await;

    let answer = app.get("/stock/ITEM-010").await;

    assert_eq!(
        answer,
        (
            200,
            json!({"item_id": "ITEM-010", "available": 25, "reserved": 0})
        )
    );
}

#[tokio::test]
async fn an_item_that_is_not_there_or_can_not_be() {
    let app = App::start().await;
    let too_long = "A".repeat(65);

    for id in [
        "NOPE",
        "item-001",
        "ITEM.001",
        "ITEM%20001",
        "%00",
        "%FF",
        "%F0%9F%92%A5",
        &too_long,
    ] {
        let (status, body) = app.get(&format!("/stock/{id}")).await;
        assert_eq!(status, 404, "{id}: {body}");
        assert!(body["error"].is_string(), "{id}: {body}");
    }
}

#[tokio::test]
async fn without_its_database_it_is_alive_but_not_ready() {
    let app = App::without_database().await;

    assert_eq!(app.get("/healthz").await.0, 200);
    assert_eq!(app.get("/readyz").await.0, 503);

    let answer = app.http.get(app.url("/stock")).send().await.unwrap();
    assert_eq!(answer.status(), 503);
    assert!(answer.headers().contains_key("retry-after"));
    let body: serde_json::Value = answer.json().await.unwrap();
    assert!(body["error"].is_string(), "{body}");
}

/// Every connection of the pool is in use, and stays so. Health checks have one of their own.
#[tokio::test]
async fn health_checks_answer_under_full_load() {
    let app = App::start().await;
    let mut lock = app.owner().begin().await.unwrap();
    let text = "LOCK TABLE inventory.items IN ACCESS EXCLUSIVE MODE";
    sqlx::query(text).execute(&mut *lock).await.unwrap();
    let waiting: Vec<_> = (0..20)
        .map(|_| tokio::spawn(app.http.get(app.url("/stock")).send()))
        .collect();
    let pool_is_used_up = async {
        let query = "SELECT count(*) FROM pg_stat_activity
                     WHERE datname = current_database() AND wait_event_type = 'Lock'";
        while sqlx::query_scalar::<_, i64>(query)
            .fetch_one(app.owner())
            .await
            .unwrap()
            < 8
        {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    let limit = std::time::Duration::from_secs(60);
    tokio::time::timeout(limit, pool_is_used_up).await.unwrap();

    assert_eq!(app.get("/readyz").await.0, 200);
    assert_eq!(app.get("/healthz").await.0, 200);
    lock.rollback().await.unwrap();
    for answer in waiting {
        assert_eq!(answer.await.unwrap().unwrap().status(), 200);
    }
}
