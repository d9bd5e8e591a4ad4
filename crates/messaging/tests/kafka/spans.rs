//! The two spans around a message: their context, parents, links, attributes and headers.

use std::{collections::BTreeSet, convert::Infallible};

use messaging::{FutureRecord, Message, MessageHeaders};
use opentelemetry::{
    Context, Value,
    context::FutureExt,
    trace::{SpanId, SpanKind, Status, TraceContextExt, Tracer, TracerProvider},
};
use rdkafka::message::{Header, OwnedHeaders};

use crate::common::{Kafka, NOT_WHEN_FULL, TRACE, attribute, int, receive, string};

async fn succeed(_: &impl Message) -> Result<(), Infallible> {
    Ok(())
}

#[tokio::test]
async fn send_and_process_are_one_trace() {
    let kafka = Kafka::with_topic("one.trace");
    let request = kafka.provider.tracer("test").start("request");
    let request = Context::new().with_span(request);
    let record = FutureRecord::to("one.trace").key("k").payload("v");
    let producer = kafka.producer();
    let sending = producer.send(record, NOT_WHEN_FULL);
    let delivery = sending.with_context(request.clone()).await.unwrap();
    let consumer = kafka.consumer();
    let message = receive(&consumer).await;
    kafka
        .instrumentation()
        .process(&message, succeed)
        .await
        .unwrap();

    let send = kafka.span("send one.trace");
    assert_eq!(send.span_kind, SpanKind::Producer);
    assert_eq!(send.parent_span_id, request.span().span_context().span_id());
    assert_eq!(send.status, Status::Unset);
    let process = kafka.span("process one.trace");
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

    let brokers = kafka.cluster.bootstrap_servers();
    let (address, port) = brokers.rsplit_once(':').unwrap();
    for (name, span) in [("send", &send), ("process", &process)] {
        let group = (name == "process").then_some("test-group").and_then(string);
        for (key, expected) in [
            ("messaging.system", string("kafka")),
            ("messaging.operation.name", string(name)),
            ("messaging.operation.type", string(name)),
            ("messaging.destination.name", string("one.trace")),
            ("messaging.destination.partition.id", string("0")),
            ("messaging.consumer.group.name", group),
            ("messaging.kafka.offset", int(delivery.offset)),
            ("messaging.kafka.message.key", string("k")),
            ("messaging.client.id", string("test-client")),
            ("server.address", string(address)),
            ("server.port", int(port.parse().unwrap())),
            ("error.type", None),
            ("rdkafka.retry_count", None),
            ("messaging.kafka.message.tombstone", None),
            ("messaging.batch.message_count", None),
        ] {
            assert_eq!(attribute(span, key), expected.as_ref(), "{name}: {key}");
        }
    }
    let Some(Value::F64(queue_time)) = attribute(&process, "rdkafka.queue_time") else {
        panic!("the queue time is a double")
    };
    assert!(*queue_time >= 0.0);
}

#[tokio::test]
async fn an_owned_message_continues_the_trace_as_well() {
    let kafka = Kafka::with_topic("owned");
    let record = FutureRecord::to("owned").key("k").payload("v");
    kafka.producer().send(record, NOT_WHEN_FULL).await.unwrap();
    let consumer = kafka.consumer();
    let owned = receive(&consumer).await.detach();
    kafka
        .instrumentation()
        .process(&owned, succeed)
        .await
        .unwrap();
    let send = kafka.span("send owned").span_context;
    assert_eq!(kafka.span("process owned").parent_span_id, send.span_id());
}

#[tokio::test]
async fn a_message_that_is_sent_on_carries_one_context_the_new_one() {
    let kafka = Kafka::with_topic("sent.on");
    let old = format!("00-{TRACE}-b7ad6b7169203331-01");
    let headers = [
        ("Traceparent", old.as_str()),
        ("tracestate", "vendor=old"),
        ("baggage", "order=old"),
        ("content-type", "text/plain"),
    ];
    let headers = headers
        .iter()
        .fold(OwnedHeaders::new(), |headers, &(key, value)| {
            headers.insert(Header {
                key,
                value: Some(value),
            })
        });
    let record = FutureRecord::to("sent.on")
        .key("k")
        .payload("v")
        .headers(headers);
    kafka.producer().send(record, NOT_WHEN_FULL).await.unwrap();
    let consumer = kafka.consumer();
    let message = receive(&consumer).await;

    let send = kafka.span("send sent.on").span_context;
    let traceparent = format!("00-{}-{}-01", send.trace_id(), send.span_id());
    let headers = MessageHeaders::of(&message);
    let headers: Vec<_> = headers
        .iter()
        .map(|header| (header.key, header.value.unwrap()))
        .collect();
    let expected: [(&str, &[u8]); 2] = [
        ("content-type", b"text/plain"),
        ("traceparent", traceparent.as_bytes()),
    ];
    assert_eq!(headers, expected);
}

#[tokio::test]
async fn the_last_valid_context_is_the_parent() {
    let kafka = Kafka::with_topic("the.last");
    let first = format!("00-{TRACE}-b7ad6b7169203331-01");
    let last = format!("00-{TRACE}-00f067aa0ba902b7-01");
    let headers: [(&str, Option<&[u8]>); 5] = [
        ("traceparent", Some(first.as_bytes())),
        ("TraceParent", Some(last.as_bytes())),
        ("traceparent", Some(b"00-broken")),
        ("traceparent", Some(b"\xff\xfe")),
        ("traceparent", None),
    ];
    kafka.send_as_a_stranger("k", &headers);
    let consumer = kafka.consumer();
    let message = receive(&consumer).await;
    kafka
        .instrumentation()
        .process(&message, succeed)
        .await
        .unwrap();
    let process = kafka.span("process the.last");
    assert_eq!(process.parent_span_id.to_string(), "00f067aa0ba902b7");
    assert_eq!(process.span_context.trace_id().to_string(), TRACE);
}

#[tokio::test]
async fn all_tracestate_headers_are_one_list() {
    let kafka = Kafka::with_topic("tracestate");
    let traceparent = format!("00-{TRACE}-b7ad6b7169203331-01");
    let headers: [(&str, Option<&[u8]>); 3] = [
        ("tracestate", Some(b"a=1,b=2")),
        ("traceparent", Some(traceparent.as_bytes())),
        ("Tracestate", Some(b"c=3")),
    ];
    kafka.send_as_a_stranger("k", &headers);
    let consumer = kafka.consumer();
    let message = receive(&consumer).await;
    kafka
        .instrumentation()
        .process(&message, succeed)
        .await
        .unwrap();
    let process = kafka.span("process tracestate").span_context;
    assert_eq!(process.trace_state().header(), "a=1,b=2,c=3");
}

#[tokio::test]
async fn a_message_without_a_valid_context_starts_a_trace() {
    let kafka = Kafka::with_topic("no.context");
    let cases: [(&str, &[Option<&[u8]>]); 8] = [
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
        ("short ids", &[Some(b"00-abc-def-01")]),
        (
            "trailing dash",
            &[Some(
                b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-",
            )],
        ),
    ];
    let consumer = kafka.consumer();
    // Not even while another span is current.
    let caller = kafka.provider.tracer("test").start("caller");
    let caller = Context::new().with_span(caller);
    for (key, traceparents) in cases {
        let headers: Vec<_> = traceparents
            .iter()
            .map(|value| ("traceparent", *value))
            .collect();
        kafka.send_as_a_stranger(key, &headers);
        let message = receive(&consumer).await;
        let instrumentation = kafka.instrumentation();
        let processing = instrumentation.process(&message, succeed);
        processing.with_context(caller.clone()).await.unwrap();
    }
    let processed = kafka.spans();
    let mut traces = BTreeSet::from([caller.span().span_context().trace_id().to_string()]);
    for span in &processed {
        let key = attribute(span, "messaging.kafka.message.key");
        assert_eq!(span.parent_span_id, SpanId::INVALID, "{key:?}");
        assert!(span.links.links.is_empty(), "{key:?}");
        traces.insert(span.span_context.trace_id().to_string());
    }
    assert_eq!(traces.len(), cases.len() + 1, "a trace of its own each");
}

#[tokio::test]
async fn a_message_without_a_value_is_marked_as_a_tombstone() {
    let kafka = Kafka::with_topic("tombstone");
    let record: FutureRecord<'_, str, str> = FutureRecord::to("tombstone").key("k");
    kafka.producer().send(record, NOT_WHEN_FULL).await.unwrap();
    let consumer = kafka.consumer();
    let message = receive(&consumer).await;
    kafka
        .instrumentation()
        .process(&message, succeed)
        .await
        .unwrap();
    for name in ["send tombstone", "process tombstone"] {
        let span = kafka.span(name);
        let tombstone = attribute(&span, "messaging.kafka.message.tombstone");
        assert_eq!(tombstone, Some(&Value::Bool(true)), "{name}");
    }
}

#[tokio::test]
async fn queue_time_is_the_age_of_the_message_and_never_negative() {
    let kafka = Kafka::with_topic("waiting");
    let consumer = kafka.consumer();
    // As if sent ten seconds ago, and ten seconds from now by another clock.
    let now = rdkafka::message::Timestamp::now().to_millis().unwrap();
    let started = std::time::Instant::now();
    let mut times = Vec::new();
    for sent in [now - 10_000, now + 10_000] {
        let record = FutureRecord::to("waiting")
            .key("k")
            .payload("v")
            .timestamp(sent);
        kafka.producer().send(record, NOT_WHEN_FULL).await.unwrap();
        let message = receive(&consumer).await;
        kafka
            .instrumentation()
            .process(&message, succeed)
            .await
            .unwrap();
        let processed = kafka.spans();
        match attribute(processed.last().unwrap(), "rdkafka.queue_time") {
            Some(Value::F64(seconds)) => times.push(*seconds),
            other => panic!("not a double: {other:?}"),
        }
    }
    let at_most = 10.1 + started.elapsed().as_secs_f64();
    assert!((10.0..=at_most).contains(&times[0]), "{times:?}");
    assert!(times[1].abs() < f64::EPSILON, "{times:?}");
}

#[tokio::test]
async fn a_retry_says_which_one_it_is_and_no_queue_time() {
    let kafka = Kafka::with_topic("retry");
    kafka.send_as_a_stranger("k", &[]);
    let consumer = kafka.consumer();
    let message = receive(&consumer).await;
    let headers = MessageHeaders::of(&message);
    drop(kafka.instrumentation().retry_span(&message, &headers, 2));
    let process = kafka.span("process retry");
    assert_eq!(attribute(&process, "rdkafka.retry_count"), int(2).as_ref());
    assert_eq!(attribute(&process, "rdkafka.queue_time"), None);
}
