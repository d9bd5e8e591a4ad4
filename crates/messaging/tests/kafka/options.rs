//! What can be chosen about the spans.

use std::convert::Infallible;

use messaging::{FutureRecord, Instrumentation, Message, Producer};
use opentelemetry::{KeyValue, baggage::BaggageExt, trace::SpanId};

use crate::common::{Kafka, NOT_WHEN_FULL, TRACE, attribute, receive, string};

async fn succeed(_: &impl Message) -> Result<(), Infallible> {
    Ok(())
}

#[tokio::test]
async fn with_links_only_a_message_starts_a_trace_that_is_linked_and_keeps_its_baggage() {
    let kafka = Kafka::with_topic("links.only");
    let traceparent = format!("00-{TRACE}-b7ad6b7169203331-01");
    let headers: [(&str, Option<&[u8]>); 2] = [
        ("traceparent", Some(traceparent.as_bytes())),
        ("baggage", Some(b"order=7")),
    ];
    kafka.send_as_a_stranger("k", &headers);
    let consumer = kafka.consumer();
    let message = receive(&consumer).await;
    let links_only = kafka.instrumentation().with_links_only();
    let baggage = async |_: &_| {
        let context = opentelemetry::Context::current();
        Ok::<_, Infallible>(context.baggage().get("order").map(ToString::to_string))
    };
    let order = links_only.process(&message, baggage).await.unwrap();
    assert_eq!(order.as_deref(), Some("7"));
    let process = kafka.span("process links.only");
    assert_eq!(process.parent_span_id, SpanId::INVALID);
    assert_ne!(process.span_context.trace_id().to_string(), TRACE);
    assert_eq!(process.links.links.len(), 1);
    let link = &process.links.links[0].span_context;
    assert_eq!(link.span_id().to_string(), "b7ad6b7169203331");
}

#[tokio::test]
async fn keys_can_be_left_out_the_prefix_chosen_and_attributes_added() {
    let kafka = Kafka::with_topic("options");
    let chosen = kafka
        .instrumentation()
        .without_keys()
        .with_attribute_prefix("acme")
        .with_attributes(|message| {
            let size = message.payload.map_or(0, <[u8]>::len).to_string();
            vec![KeyValue::new(
                "acme.about",
                format!("{} {size}", message.operation),
            )]
        });
    let producer = Producer::new(kafka.producer().client().clone(), chosen.clone());
    let record = FutureRecord::to("options")
        .key("ann@example.org")
        .payload("value");
    producer.send(record, NOT_WHEN_FULL).await.unwrap();
    let consumer = kafka.consumer();
    let message = receive(&consumer).await;
    chosen.process(&message, succeed).await.unwrap();
    for (name, about) in [("send options", "send 5"), ("process options", "process 5")] {
        let span = kafka.span(name);
        assert_eq!(
            attribute(&span, "messaging.kafka.message.key"),
            None,
            "{name}"
        );
        assert_eq!(
            attribute(&span, "acme.about"),
            string(about).as_ref(),
            "{name}"
        );
    }
    let process = kafka.span("process options");
    assert!(attribute(&process, "acme.queue_time").is_some());
    assert_eq!(attribute(&process, "rdkafka.queue_time"), None);
}

#[tokio::test]
async fn what_is_not_known_of_a_client_is_absent() {
    let kafka = Kafka::with_topic("unknown");
    let unknown = Instrumentation::default().with_tracer_provider(&kafka.provider);
    kafka.send_as_a_stranger("k", &[]);
    let consumer = kafka.consumer();
    let message = receive(&consumer).await;
    unknown.process(&message, succeed).await.unwrap();
    let process = kafka.span("process unknown");
    for key in [
        "messaging.client.id",
        "messaging.consumer.group.name",
        "server.address",
        "server.port",
    ] {
        assert_eq!(attribute(&process, key), None, "{key}");
    }
    assert!(attribute(&process, "messaging.system").is_some());
}
