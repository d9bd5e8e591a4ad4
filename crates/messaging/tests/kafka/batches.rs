//! Batches: one span, linked to every sender, child of none of them.

use std::convert::Infallible;

use messaging::FutureRecord;
use opentelemetry::{
    Context,
    context::FutureExt,
    trace::{SpanKind, TraceContextExt, Tracer, TracerProvider},
};

use crate::common::{Kafka, NOT_WHEN_FULL, attribute, int, receive, string};

#[tokio::test]
async fn a_batch_is_one_span_linked_to_every_sender() {
    let kafka = Kafka::with_topic("batch");
    let consumer = kafka.consumer();
    let mut messages = Vec::new();
    for _ in 0..3 {
        let record = FutureRecord::to("batch").key("k").payload("v");
        kafka.producer().send(record, NOT_WHEN_FULL).await.unwrap();
        messages.push(receive(&consumer).await);
    }
    kafka.send_as_a_stranger("no context", &[]);
    messages.push(receive(&consumer).await);
    let caller = kafka.provider.tracer("test").start("poll loop");
    let caller = Context::new().with_span(caller);
    let handler = async |batch: &[_]| Ok::<_, Infallible>(batch.len());
    let instrumentation = kafka.instrumentation();
    let processing = instrumentation.process_batch(&messages, handler);
    let handled = processing.with_context(caller.clone()).await;
    assert_eq!(handled, Ok(4));

    let process = kafka.span("process batch");
    assert_eq!(process.span_kind, SpanKind::Consumer);
    assert_eq!(
        process.parent_span_id,
        caller.span().span_context().span_id()
    );
    let mut sends = kafka.spans();
    sends.retain(|span| span.name == "send batch");
    let sends: Vec<_> = sends
        .iter()
        .map(|span| span.span_context.span_id())
        .collect();
    let links: Vec<_> = process
        .links
        .links
        .iter()
        .map(|link| link.span_context.span_id())
        .collect();
    assert_eq!(links, sends);
    for (key, expected) in [
        ("messaging.batch.message_count", int(4)),
        ("messaging.destination.name", string("batch")),
        ("messaging.operation.type", string("process")),
        ("messaging.consumer.group.name", string("test-group")),
        ("messaging.kafka.offset", None),
        ("messaging.kafka.message.key", None),
    ] {
        assert_eq!(attribute(&process, key), expected.as_ref(), "{key}");
    }
}

#[tokio::test]
async fn an_empty_batch_has_no_topic() {
    let kafka = Kafka::with_topic("empty.batch");
    let none: [rdkafka::message::OwnedMessage; 0] = [];
    let handler = async |_: &[_]| Ok::<_, Infallible>(());
    kafka
        .instrumentation()
        .process_batch(&none, handler)
        .await
        .unwrap();
    let process = kafka.span("process");
    assert_eq!(
        attribute(&process, "messaging.batch.message_count"),
        int(0).as_ref()
    );
    assert_eq!(attribute(&process, "messaging.destination.name"), None);
}
