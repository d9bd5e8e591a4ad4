//! What is sent, in which order and in which trace.

use opentelemetry::{Value, trace::SpanKind};
use opentelemetry_sdk::trace::SpanData;
use outbox::{Error, Outbox, OutboxMessage};
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};
use tracing::{Instrument, info_span};

use crate::setup::{Relaying, SPANS, Setup};

fn span(name: &str) -> SpanData {
    let spans = SPANS.get_finished_spans().unwrap();
    spans.into_iter().find(|span| span.name == name).unwrap()
}

#[tokio::test]
async fn a_committed_message_is_sent_in_the_trace_it_was_appended_in() {
    let setup = Setup::new("in.trace").await;
    setup.append("k", "rolled back", false).await;
    let request = info_span!("request in.trace");
    setup
        .append("k", "committed", true)
        .instrument(request)
        .await;
    // No relay runs yet: the request has ended before its message is sent.
    let relay = setup.relay();
    setup.until_empty().await;
    relay.stop().await;
    assert_eq!(setup.received().await, ["committed"]);

    let (request, send) = (span("request in.trace"), span("send in.trace"));
    assert_eq!(send.span_kind, SpanKind::Producer);
    assert_eq!(send.parent_span_id, request.span_context.span_id());
    assert_eq!(
        send.span_context.trace_id(),
        request.span_context.trace_id()
    );
    let waited = send
        .attributes
        .iter()
        .find(|attribute| attribute.key.as_str() == "shop.outbox.wait_time");
    assert!(matches!(waited.unwrap().value, Value::F64(seconds) if seconds > 0.0));
}

/// As where each statement has a span.
#[tokio::test]
async fn the_context_is_the_one_in_which_append_is_called() {
    let setup = Setup::new("context").await;
    let outbox = Outbox::in_schema("orders");
    let mut connection = setup.admin.acquire().await.unwrap();
    async {
        let message = OutboxMessage::new(setup.topic, "k", b"");
        let append = outbox.append(&mut connection, message);
        append.instrument(info_span!("statement")).await.unwrap();
    }
    .instrument(info_span!("request context"))
    .await;
    let relay = setup.relay();
    setup.until_empty().await;
    relay.stop().await;
    let parent = span("request context").span_context.span_id();
    assert_eq!(span("send context").parent_span_id, parent);
}

#[tokio::test]
async fn messages_wait_for_a_broker_that_is_down() {
    let setup = Setup::new("broker.down").await;
    setup.cluster.broker_down(1).unwrap();
    let relay = setup.relay();
    for number in 0..20 {
        let number = number.to_string();
        setup.append(&number, &number, true).await;
    }
    assert_eq!(setup.rows("true").await, 20);
    setup.cluster.broker_up(1).unwrap();
    setup.until_empty().await;
    relay.stop().await;
    let mut numbers: Vec<u32> = setup
        .received()
        .await
        .iter()
        .map(|text| text.parse().unwrap())
        .collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (0..20).collect::<Vec<_>>());
}

#[tokio::test]
async fn messages_of_one_key_keep_their_order() {
    let setup = Setup::new("in.order").await;
    setup.append_many(30, "'k'", "number").await;
    let relay = setup.relay();
    setup.until_empty().await;
    relay.stop().await;
    let expected: Vec<_> = (1..=30).map(|number| number.to_string()).collect();
    assert_eq!(setup.received().await, expected);
}

/// The broker answers that the producer's sequence numbers are wrong: librdkafka sends nothing any more.
#[tokio::test]
async fn a_producer_that_has_failed_for_good_is_replaced() {
    let setup = Setup::new("fatal").await;
    let error = RDKafkaRespErr::RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER;
    setup
        .cluster
        .request_errors(RDKafkaApiKey::Produce, &[error]);
    let relay = setup.relay();
    setup.append_many(3, "number", "number").await;
    setup.until_empty().await;
    relay.stop().await;
    let mut received = setup.received().await;
    received.sort_unstable();
    assert_eq!(received, ["1", "2", "3"]);
}

#[tokio::test]
async fn a_relay_without_a_producer_ends_with_an_error() {
    let setup = Setup::new("no.producer").await;
    let mut kafka = setup.kafka();
    kafka.set("acks", "1");
    let relay = Relaying::start(&setup.test.url("orders"), kafka);
    let error = relay.ended().await.unwrap_err();
    assert!(matches!(error, Error::NoProducer(_)), "{error}");
    assert!(error.is_fatal() && !error.is_retriable());
    assert!(error.to_string().contains("acks"), "{error}");
}
