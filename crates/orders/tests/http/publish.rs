//! The event, and what happens without a broker.

use std::{collections::BTreeMap, time::Duration};

use opentelemetry::trace::Status;
use rdkafka::{
    ClientConfig, TopicPartitionList,
    consumer::{Consumer, StreamConsumer},
    message::{Headers, Message, OwnedMessage},
};
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::app::{App, Kafka, kafka};

const A_WHILE: Duration = Duration::from_secs(60);
const SEND: &str = "send order.created";

#[tokio::test]
async fn an_event_for_each_order() {
    let kafka = kafka();
    let app = App::start_with_kafka(kafka.bootstrap_servers()).await;

    let order = app.place().await;
    let message = receive(&kafka).await;

    let id = order["id"].as_str().unwrap();
    assert_eq!(message.key(), Some(id.as_bytes()));
    let event: Value = serde_json::from_slice(message.payload().unwrap()).unwrap();
    let expected = json!({
        "order_id": id,
        "customer_id": "Ada",
        "items": order["items"],
        "total": 305,
        "created_at": order["created_at"],
    });
    assert_eq!(event, expected);
    let send = app.ended(SEND).await;
    let (trace, span) = (send.span_context.trace_id(), send.span_context.span_id());
    let expected = [
        ("baggage", format!("order.id={id}")),
        ("content-type", "application/json".to_owned()),
        ("traceparent", format!("00-{trace}-{span}-03")),
    ];
    let expected = expected.map(|(key, value)| (key.to_owned(), value));
    assert_eq!(headers(&message), BTreeMap::from(expected));
}

/// The order is taken at once, and its event goes out when there is a broker, in the order's own trace.
#[tokio::test]
async fn an_order_does_not_wait_for_a_broker_that_is_away() {
    let kafka = kafka();
    kafka.broker_down(1).unwrap();
    let app = App::start_with_kafka(kafka.bootstrap_servers()).await;

    let order = app.place().await;

    let path = format!("/orders/{}", order["id"].as_str().unwrap());
    assert_eq!(app.get(&path).await, (200, order.clone()));
    let post = app.ended("POST /orders").await;
    assert_eq!(post.status, Status::Unset);
    assert!(app.spans.named(SEND).is_empty());
    app.until_it_relays().await;
    let asked = app.get("/readyz").await;
    let details =
        json!({"database": "answers", "kafka": "has not answered yet", "outbox": "active"});
    assert_eq!(asked, (200, json!({"ready": true, "details": details})));

    kafka.broker_up(1).unwrap();
    let message = receive(&kafka).await;
    assert_eq!(message.key(), order["id"].as_str().map(str::as_bytes));
    let send = app.ended(SEND).await;
    assert_eq!(send.parent_span_id, post.span_context.span_id());
    assert_eq!(send.status, Status::Unset);
}

#[tokio::test]
async fn readiness_says_what_the_relay_does() {
    let app = App::start().await;
    app.until_it_relays().await;
    // As another replica: it waits for the relay's lock, and gets it when the relay's session ends.
    let mut other = app.sql().acquire().await.unwrap();
    let lock = sqlx::query("SELECT pg_advisory_lock(hashtextextended('orders.outbox', 0))");
    let end_the_relay = async {
        while terminate_relay(app.sql()).await == 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let locked = async { tokio::join!(lock.execute(&mut *other), end_the_relay) };
    let (locked, ()) = tokio::time::timeout(A_WHILE, locked).await.unwrap();
    locked.unwrap();
    app.until_ready_says("standby: another process relays")
        .await;
    other.close().await.unwrap();
    app.until_it_relays().await;
}

/// Ends the session that holds the relay's lock, once another one waits for that. Returns how many were ended.
async fn terminate_relay(database: &PgPool) -> i64 {
    let terminate = "SELECT count(pg_terminate_backend(holder.pid))
         FROM pg_locks AS holder JOIN pg_locks AS waiter USING (locktype, database, classid, objid)
         WHERE locktype = 'advisory' AND holder.granted AND NOT waiter.granted
           AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    let terminated = sqlx::query_scalar(terminate);
    terminated.fetch_one(database).await.unwrap()
}

/// The first message of the topic.
async fn receive(kafka: &Kafka) -> OwnedMessage {
    let consumer: StreamConsumer = ClientConfig::new()
        .set("bootstrap.servers", kafka.bootstrap_servers())
        .set("group.id", "test")
        .set("auto.offset.reset", "earliest")
        .create()
        .unwrap();
    // Without joining the group: that would take seconds.
    let mut partitions = TopicPartitionList::new();
    partitions.add_partition_range("order.created", 0, 5);
    consumer.assign(&partitions).unwrap();
    let received = tokio::time::timeout(A_WHILE, consumer.recv()).await;
    received.expect("no message came").unwrap().detach()
}

/// Every header; none may be there twice.
fn headers(message: &OwnedMessage) -> BTreeMap<String, String> {
    let headers = message.headers().unwrap();
    let text = |value: Option<&[u8]>| String::from_utf8(value.unwrap().to_vec()).unwrap();
    let map: BTreeMap<_, _> = headers
        .iter()
        .map(|header| (header.key.to_owned(), text(header.value)))
        .collect();
    assert_eq!(map.len(), headers.count(), "{headers:?}");
    map
}
