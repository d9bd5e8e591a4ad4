//! The spans around sending and processing: their context, parents, links, attributes and status.

use crate::common::{Handle, Kafka, Seen, attribute, spans, until};
use messaging::{Failure, FailureClass, FutureRecord, Message, OwnedMessage, ProducerConfig};
use opentelemetry::{
    Value,
    trace::{SpanId, SpanKind, Status, TraceContextExt},
};
use rdkafka::{
    ClientConfig,
    message::{Header, Headers, OwnedHeaders},
    producer::{BaseProducer, BaseRecord, Producer as _},
};
use std::{
    collections::BTreeSet,
    sync::Mutex,
    time::{Duration, Instant},
};
use tokio::sync::mpsc;
use tracing::info_span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

fn int(value: i64) -> Option<Value> {
    Some(Value::I64(value))
}

fn string(value: &str) -> Option<Value> {
    Some(Value::String(value.to_owned().into()))
}

fn ok_handler() -> impl messaging::Handler {
    Handle(|_message: OwnedMessage| async { Ok(()) })
}

#[tokio::test]
async fn send_and_process_are_one_trace() {
    let kafka = Kafka::with_topic("one.trace", 1);
    let request = info_span!("request one.trace");
    let record = FutureRecord::to("one.trace").key("k").payload("v");
    let delivery = {
        use tracing::Instrument;
        kafka
            .producer()
            .send(record)
            .instrument(request.clone())
            .await
            .unwrap()
    };
    let context = request.context();
    drop(request);
    let consumer = kafka.consume(ok_handler());
    until("it is processed", || !spans("process one.trace").is_empty()).await;
    consumer.stop().await;

    let send = &spans("send one.trace")[0];
    assert_eq!(send.span_kind, SpanKind::Producer);
    assert_eq!(send.parent_span_id, context.span().span_context().span_id());
    assert_eq!(send.status, Status::Unset);
    let (address, port) = address(&kafka);
    for (key, expected) in [
        ("messaging.system", string("kafka")),
        ("messaging.operation.name", string("send")),
        ("messaging.operation.type", string("send")),
        ("messaging.destination.name", string("one.trace")),
        ("messaging.destination.partition.id", string("0")),
        ("messaging.kafka.offset", int(delivery.offset)),
        ("messaging.kafka.message.key", string("k")),
        ("messaging.client.id", string("test-producer")),
        ("server.address", string(&address)),
        ("server.port", int(port)),
        ("error.type", None),
        ("messaging.consumer.group.name", None),
        ("messaging.kafka.message.tombstone", None),
        ("messaging.batch.message_count", None),
    ] {
        assert_eq!(attribute(send, key), expected.as_ref(), "send: {key}");
    }

    let process = &spans("process one.trace")[0];
    assert_eq!(process.span_kind, SpanKind::Consumer);
    assert_eq!(
        process.span_context.trace_id(),
        send.span_context.trace_id()
    );
    assert_eq!(
        process.parent_span_id,
        send.span_context.span_id(),
        "parent"
    );
    assert_eq!(process.links.links.len(), 1, "link");
    let link = &process.links.links[0].span_context;
    assert_eq!(link.span_id(), send.span_context.span_id(), "link");
    assert_eq!(link.trace_id(), send.span_context.trace_id(), "link");
    assert_eq!(process.status, Status::Unset);
    for (key, expected) in [
        ("messaging.system", string("kafka")),
        ("messaging.operation.name", string("process")),
        ("messaging.operation.type", string("process")),
        ("messaging.destination.name", string("one.trace")),
        ("messaging.destination.partition.id", string("0")),
        ("messaging.consumer.group.name", string("test-group")),
        ("messaging.kafka.offset", int(delivery.offset)),
        ("messaging.kafka.message.key", string("k")),
        ("messaging.client.id", string("test-group")),
        ("server.address", string(&address)),
        ("server.port", int(port)),
        ("error.type", None),
        ("orderflow.messaging.retry_count", None),
    ] {
        assert_eq!(attribute(process, key), expected.as_ref(), "process: {key}");
    }
    let Some(Value::F64(queue_time)) = attribute(process, "orderflow.messaging.queue_time") else {
        panic!("the queue time is a double")
    };
    assert!(*queue_time >= 0.0);
    for old in [
        "messaging.kafka.consumer.group",
        "messaging.kafka.message.offset",
        "peer.service",
    ] {
        assert_eq!(attribute(process, old), None, "an old name");
    }
}

fn address(kafka: &Kafka) -> (String, i64) {
    let brokers = kafka.cluster.bootstrap_servers();
    let (address, port) = brokers.split(',').next().unwrap().rsplit_once(':').unwrap();
    (address.to_owned(), port.parse().unwrap())
}

#[tokio::test]
async fn the_handler_runs_inside_the_process_span() {
    let kafka = Kafka::with_topic("inside", 1);
    kafka
        .producer()
        .send(FutureRecord::to("inside").key("k").payload("v"))
        .await
        .unwrap();
    let consumer = kafka.consume(Handle(|_message: OwnedMessage| async {
        tokio::task::yield_now().await;
        info_span!("work of inside").in_scope(|| ());
        Ok(())
    }));
    until("it is processed", || !spans("process inside").is_empty()).await;
    consumer.stop().await;
    let process = spans("process inside")[0].span_context.clone();
    let work = &spans("work of inside")[0];
    assert_eq!(work.parent_span_id, process.span_id());
    assert_eq!(work.span_context.trace_id(), process.trace_id());
}

#[tokio::test]
async fn a_message_that_is_sent_on_carries_one_context_the_new_one() {
    let kafka = Kafka::with_topic("sent.on", 1);
    let old = format!("00-{TRACE}-b7ad6b7169203331-01");
    let headers = OwnedHeaders::new()
        .insert(Header {
            key: "traceparent",
            value: Some(&old),
        })
        .insert(Header {
            key: "content-type",
            value: Some("text/plain"),
        });
    let record = FutureRecord::to("sent.on")
        .key("k")
        .payload("v")
        .headers(headers);
    kafka.producer().send(record).await.unwrap();
    let (sender, mut received) = mpsc::unbounded_channel();
    let consumer = kafka.consume(Handle(move |message: OwnedMessage| {
        let _ = sender.send(message);
        async { Ok(()) }
    }));
    let message = received.recv().await.unwrap();
    consumer.stop().await;

    let send = spans("send sent.on")[0].span_context.clone();
    let headers = message.headers().unwrap();
    let of = |key: &str| -> Vec<String> {
        let found = headers.iter().filter(|header| header.key == key);
        found
            .map(|header| String::from_utf8_lossy(header.value.unwrap()).into_owned())
            .collect()
    };
    let expected = format!("00-{}-{}-01", send.trace_id(), send.span_id());
    assert_eq!(of("traceparent"), [expected]);
    assert_eq!(of("content-type"), ["text/plain"]);
}

/// Puts a message into the topic as a stranger would, with these values of `traceparent`.
fn send_as_a_stranger(kafka: &Kafka, key: &str, traceparents: &[Option<&[u8]>]) {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", kafka.cluster.bootstrap_servers());
    let producer: BaseProducer = config.create().unwrap();
    let headers = traceparents
        .iter()
        .fold(OwnedHeaders::new(), |headers, value| {
            headers.insert(Header {
                key: "traceparent",
                value: *value,
            })
        });
    let record = BaseRecord::to(kafka.topic)
        .key(key)
        .payload("v")
        .headers(headers);
    producer.send(record).map_err(|(error, _)| error).unwrap();
    producer.flush(Duration::from_secs(30)).unwrap();
}

#[tokio::test]
async fn the_last_of_several_contexts_is_the_parent() {
    let kafka = Kafka::with_topic("the.last", 1);
    let first = format!("00-{TRACE}-b7ad6b7169203331-01");
    let last = format!("00-{TRACE}-00f067aa0ba902b7-01");
    send_as_a_stranger(
        &kafka,
        "k",
        &[Some(first.as_bytes()), Some(last.as_bytes())],
    );
    let consumer = kafka.consume(ok_handler());
    until("it is processed", || !spans("process the.last").is_empty()).await;
    consumer.stop().await;
    let process = &spans("process the.last")[0];
    assert_eq!(
        process.parent_span_id,
        SpanId::from_hex("00f067aa0ba902b7").unwrap()
    );
    assert_eq!(process.span_context.trace_id().to_string(), TRACE);
}

#[tokio::test]
async fn a_message_without_a_valid_context_starts_a_trace() {
    let kafka = Kafka::with_topic("no.context", 1);
    let cases: [(&str, &[Option<&[u8]>]); 6] = [
        ("none", &[]),
        ("null", &[None]),
        ("empty", &[Some(b"")]),
        ("not text", &[Some(b"\xff\xfe")]),
        (
            "zero trace",
            &[Some(
                b"00-00000000000000000000000000000000-b7ad6b7169203331-01",
            )],
        ),
        (
            "zero span",
            &[Some(
                b"00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            )],
        ),
    ];
    for (key, traceparents) in cases {
        send_as_a_stranger(&kafka, key, traceparents);
    }
    let consumer = kafka.consume(ok_handler());
    until("all are processed", || {
        spans("process no.context").len() == cases.len()
    })
    .await;
    consumer.stop().await;
    let processed = spans("process no.context");
    let mut traces = BTreeSet::new();
    for span in &processed {
        let key = attribute(span, "messaging.kafka.message.key");
        assert_eq!(span.parent_span_id, SpanId::INVALID, "{key:?}");
        assert!(span.links.links.is_empty(), "{key:?}");
        traces.insert(span.span_context.trace_id().to_string());
    }
    assert_eq!(traces.len(), cases.len(), "a trace of its own each");
}

#[tokio::test]
async fn every_attempt_is_a_span_of_its_own() {
    let kafka = Kafka::with_topic("attempts", 1);
    kafka
        .producer()
        .send(FutureRecord::to("attempts").key("k").payload("v"))
        .await
        .unwrap();
    let tried = Mutex::new(0);
    let consumer = kafka.consume(Handle(move |_message: OwnedMessage| {
        let mut tried = tried.lock().unwrap();
        *tried += 1;
        let result = match *tried {
            1 => Err(failure(FailureClass::Unavailable, "away")),
            2 => Err(failure(FailureClass::Failed, "broken")),
            _ => Ok(()),
        };
        async { result }
    }));
    until("the third succeeds", || {
        spans("process attempts").len() == 3
    })
    .await;
    consumer.stop().await;
    let send = spans("send attempts")[0].span_context.span_id();
    let attempts = spans("process attempts");
    let expected = [
        (None, Status::error("somebody is away"), string("away")),
        (
            int(1),
            Status::error("somebody is broken"),
            string("broken"),
        ),
        (int(2), Status::Unset, None),
    ];
    for (attempt, (retry_count, status, error_type)) in attempts.iter().zip(expected) {
        assert_eq!(attempt.parent_span_id, send, "siblings");
        let count = attribute(attempt, "orderflow.messaging.retry_count");
        assert_eq!(count, retry_count.as_ref());
        assert_eq!(attempt.status, status);
        assert_eq!(attribute(attempt, "error.type"), error_type.as_ref());
        let queue_time = attribute(attempt, "orderflow.messaging.queue_time");
        assert_eq!(
            queue_time.is_some(),
            retry_count.is_none(),
            "only on the first"
        );
    }
}

fn failure(class: FailureClass, error_type: &str) -> Failure {
    Failure {
        class,
        error_type: error_type.to_owned(),
        description: format!("somebody is {error_type}"),
    }
}

#[tokio::test]
async fn a_failed_send_is_an_error_with_the_brokers_reason() {
    let kafka = Kafka::with_topic("send.fails", 1);
    kafka.cluster.broker_down(1).unwrap();
    let mut config = ProducerConfig::new(kafka.cluster.bootstrap_servers(), "test-producer");
    config.message_timeout = Some(Duration::from_millis(200));
    let producer = messaging::Producer::new(&config).unwrap();
    let error = producer
        .send(FutureRecord::to("send.fails").key("k").payload("v"))
        .await;
    let error = error.unwrap_err();
    assert_eq!(error.error_type(), "MessageTimedOut");
    let send = &spans("send send.fails")[0];
    assert_eq!(
        attribute(send, "error.type"),
        string("MessageTimedOut").as_ref()
    );
    assert_eq!(send.status, Status::error(error.to_string()));
    assert_eq!(attribute(send, "messaging.kafka.offset"), None);
}

#[tokio::test]
async fn a_message_without_a_value_is_marked_as_a_tombstone() {
    let kafka = Kafka::with_topic("tombstone", 1);
    let record: FutureRecord<'_, str, str> = FutureRecord::to("tombstone").key("k");
    kafka.producer().send(record).await.unwrap();
    let consumer = kafka.consume(ok_handler());
    until("it is processed", || !spans("process tombstone").is_empty()).await;
    consumer.stop().await;
    for name in ["send tombstone", "process tombstone"] {
        let span = &spans(name)[0];
        let tombstone = attribute(span, "messaging.kafka.message.tombstone");
        assert_eq!(tombstone, Some(&Value::Bool(true)), "{name}");
    }
}

#[tokio::test]
async fn the_wait_in_the_queue_is_told() {
    let kafka = Kafka::with_topic("waiting", 1);
    // As if it had been sent ten seconds ago, and one ten seconds from now by another clock.
    let now = rdkafka::message::Timestamp::now().to_millis().unwrap();
    let started = Instant::now();
    for (key, sent) in [("past", now - 10_000), ("future", now + 10_000)] {
        let record = FutureRecord::to("waiting")
            .key(key)
            .payload("v")
            .timestamp(sent);
        kafka.producer().send(record).await.unwrap();
    }
    let consumer = kafka.consume(ok_handler());
    until("both are processed", || spans("process waiting").len() == 2).await;
    consumer.stop().await;
    let queue_time = |key: &str| {
        let processed = spans("process waiting");
        let span = processed
            .iter()
            .find(|span| attribute(span, "messaging.kafka.message.key") == string(key).as_ref());
        match attribute(span.unwrap(), "orderflow.messaging.queue_time") {
            Some(Value::F64(seconds)) => *seconds,
            other => panic!("not a double: {other:?}"),
        }
    };
    let past = queue_time("past");
    assert!(
        past >= 10.0 && past <= 11.0 + started.elapsed().as_secs_f64(),
        "{past}"
    );
    assert!(queue_time("future").abs() < f64::EPSILON);
}

#[tokio::test]
async fn messages_of_one_key_are_handled_in_order() {
    let kafka = Kafka::with_topic("in.order", 2);
    let producer = kafka.producer();
    let mut expected = Vec::new();
    for number in 0..40 {
        for key in ["a", "b", "c"] {
            let payload = format!("{key}{number}");
            let record = FutureRecord::to("in.order").key(key).payload(&payload);
            producer.send(record).await.unwrap();
            expected.push(payload);
        }
    }
    let seen = Seen::default();
    let running = std::sync::Arc::new(Mutex::new(BTreeSet::new()));
    let consumer = kafka.consume({
        let seen = seen.clone();
        Handle(move |message: OwnedMessage| {
            let (seen, running) = (seen.clone(), running.clone());
            async move {
                let key = message.key().unwrap().to_vec();
                assert!(
                    running.lock().unwrap().insert(key.clone()),
                    "two of one key at once"
                );
                tokio::task::yield_now().await;
                seen.push(&message);
                running.lock().unwrap().remove(&key);
                Ok(())
            }
        })
    });
    until("all are handled", || seen.all().len() == expected.len()).await;
    consumer.stop().await;
    for key in ["a", "b", "c"] {
        let of_key = |all: &[String]| -> Vec<String> {
            all.iter()
                .filter(|text| text.starts_with(key))
                .cloned()
                .collect()
        };
        assert_eq!(of_key(&seen.all()), of_key(&expected));
    }
}
