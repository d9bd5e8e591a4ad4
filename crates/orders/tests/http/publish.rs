//! The event, and what happens without a broker.

use std::{collections::BTreeMap, time::Duration};

use opentelemetry::trace::Status;
use rdkafka::{
    ClientConfig, TopicPartitionList,
    consumer::{Consumer, StreamConsumer},
    message::{Headers, Message, OwnedMessage},
};
use serde_json::{Value, json};

use crate::{
    app::{App, Kafka, kafka},
    spans::attributes,
};

const A_WHILE: Duration = Duration::from_secs(60);
const SEND: &str = "send order.created";

#[tokio::test]
async fn an_event_for_each_order() {
    let kafka = kafka();
    let app = App::start_with_kafka(kafka.bootstrap_servers(), A_WHILE).await;

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
    let send = app.spans.wait_for(SEND).await;
    let (trace, span) = (send.span_context.trace_id(), send.span_context.span_id());
    let expected = [
        ("baggage", format!("order.id={id}")),
        ("content-type", "application/json".to_owned()),
        ("traceparent", format!("00-{trace}-{span}-01")),
        ("tracestate", String::new()),
    ];
    let expected = expected.map(|(key, value)| (key.to_owned(), value));
    assert_eq!(headers(&message), BTreeMap::from(expected));
    assert_eq!(app.get("/readyz").await.1["details"]["kafka"], "answers");
}

#[tokio::test]
async fn the_end_waits_for_events_that_are_under_way() {
    let kafka = kafka();
    kafka
        .broker_round_trip_time(1, Duration::from_millis(50))
        .unwrap();
    let app = App::start_with_kafka(kafka.bootstrap_servers(), A_WHILE).await;
    let order = app.place().await;

    app.publisher.finish(A_WHILE).await;

    assert_eq!(app.spans.named(SEND).len(), 1);
    let message = receive(&kafka).await;
    assert_eq!(message.key(), order["id"].as_str().map(str::as_bytes));
}

/// The send can't have failed yet when the answer comes: it has a minute.
#[tokio::test]
async fn the_answer_does_not_wait_for_a_broker_that_is_away() {
    let app = App::start_with_kafka("127.0.0.1:1".to_owned(), A_WHILE).await;

    let order = app.place().await;

    let path = format!("/orders/{}", order["id"].as_str().unwrap());
    assert_eq!(app.get(&path).await, (200, order));
    app.spans.wait_for("POST /orders").await;
    assert!(app.spans.named(SEND).is_empty());
    assert_eq!(app.get("/readyz").await.0, 200);

    // Nor does the end wait for longer than it has time.
    app.publisher.finish(Duration::from_millis(10)).await;
    assert!(app.spans.named(SEND).is_empty());
}

#[tokio::test]
async fn a_send_that_fails_is_an_error_of_its_own() {
    let app = App::start().await;
    let asked = app.get("/readyz").await;
    let details = json!({"database": "answers", "kafka": "has not answered yet"});
    assert_eq!(asked, (200, json!({"ready": true, "details": details})));

    app.place().await;
    let send = app.spans.wait_for(SEND).await;

    assert!(matches!(send.status, Status::Error { .. }), "{send:#?}");
    assert_eq!(
        attributes(&send)["error.type"].to_string(),
        "MessageTimedOut"
    );
    let post = app.spans.wait_for("POST /orders").await;
    assert_eq!(post.status, Status::Unset);
    assert_eq!(send.parent_span_id, post.span_context.span_id());
    app.publisher.finish(A_WHILE).await;
    let (status, ready) = app.get("/readyz").await;
    assert_eq!(
        (status, &ready["details"]["kafka"]),
        (200, &json!("did not take the last event"))
    );
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
