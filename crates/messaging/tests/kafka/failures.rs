//! Sends and handlers that fail, are cancelled, or panic.

use std::{convert::Infallible, future::pending};

use futures_util::FutureExt;
use messaging::{FutureRecord, Producer, SendSpan};
use opentelemetry::trace::Status;
use rdkafka::{
    ClientContext, Message,
    error::KafkaError,
    message::{DeliveryResult, OwnedHeaders},
    producer::{BaseProducer, BaseRecord, FutureProducer, Producer as _, ProducerContext},
    types::RDKafkaErrorCode,
};

use crate::common::{Kafka, LIMIT, NOT_WHEN_FULL, Yours, attribute, receive, string};

#[tokio::test]
async fn a_failed_send_is_an_error_with_the_brokers_reason() {
    let kafka = Kafka::with_topic("send.fails");
    kafka.cluster.broker_down(1).unwrap();
    let mut config = kafka.config();
    config.set("message.timeout.ms", "200");
    let client: FutureProducer<Yours> = config.create_with_context(Yours).unwrap();
    let producer = Producer::new(client, kafka.instrumentation());
    let record = FutureRecord::to("send.fails").key("k").payload("v");
    let error = producer.send(record, NOT_WHEN_FULL).await.unwrap_err();
    assert_eq!(error.error_type(), "MessageTimedOut");
    assert!(error.is_retriable() && !error.is_fatal());
    let send = kafka.span("send send.fails");
    assert_eq!(
        attribute(&send, "error.type"),
        string("MessageTimedOut").as_ref()
    );
    assert_eq!(send.status, Status::error(error.to_string()));
    assert_eq!(attribute(&send, "messaging.kafka.offset"), None);
}

#[tokio::test]
async fn a_cancelled_send_does_not_look_successful() {
    let kafka = Kafka::with_topic("send.cancelled");
    kafka.cluster.broker_down(1).unwrap();
    let producer = kafka.producer();
    let record = FutureRecord::to("send.cancelled").key("k").payload("v");
    let cancelled = producer.send(record, NOT_WHEN_FULL).now_or_never();
    assert!(cancelled.is_none());
    let send = kafka.span("send send.cancelled");
    assert_eq!(attribute(&send, "error.type"), string("cancelled").as_ref());
    assert!(
        matches!(send.status, Status::Error { .. }),
        "{:?}",
        send.status
    );
}

#[tokio::test]
async fn an_error_of_the_handler_is_the_spans_and_the_callers() {
    let kafka = Kafka::with_topic("handler.fails");
    kafka.send_as_a_stranger("k", &[]);
    let consumer = kafka.consumer();
    let message = receive(&consumer).await;
    let parse = async |message: &rdkafka::message::BorrowedMessage<'_>| {
        let text = std::str::from_utf8(message.payload().unwrap_or_default()).unwrap();
        text.parse::<u32>()
    };
    let error = kafka
        .instrumentation()
        .process(&message, parse)
        .await
        .unwrap_err();
    let process = kafka.span("process handler.fails");
    assert_eq!(process.status, Status::error(error.to_string()));
    let error_type = string("core::num::error::ParseIntError");
    assert_eq!(attribute(&process, "error.type"), error_type.as_ref());
}

#[tokio::test]
async fn a_cancelled_handler_does_not_look_successful() {
    let kafka = Kafka::with_topic("handler.cancelled");
    kafka.send_as_a_stranger("k", &[]);
    let consumer = kafka.consumer();
    let message = receive(&consumer).await;
    let hang = async |_: &_| pending::<Result<(), Infallible>>().await;
    let cancelled = kafka
        .instrumentation()
        .process(&message, hang)
        .now_or_never();
    assert!(cancelled.is_none());
    let process = kafka.span("process handler.cancelled");
    assert_eq!(
        attribute(&process, "error.type"),
        string("cancelled").as_ref()
    );
}

#[tokio::test]
async fn a_panic_is_an_error_of_the_span_also_before_the_handlers_first_await() {
    let kafka = Kafka::with_topic("handler.panics");
    kafka.send_as_a_stranger("k", &[]);
    let consumer = kafka.consumer();
    let message = receive(&consumer).await.detach();
    let instrumentation = kafka.instrumentation();
    let task = tokio::spawn(async move {
        // Panics when it is called, not when its future is polled.
        let eager = |_: &_| -> std::future::Ready<Result<(), Infallible>> { panic!("a defect") };
        instrumentation.process(&message, eager).await
    });
    assert!(task.await.unwrap_err().is_panic());
    let process = kafka.span("process handler.panics");
    assert_eq!(attribute(&process, "error.type"), string("panic").as_ref());
}

/// A context that keeps the span until the delivery report is there.
struct Traced;

impl ClientContext for Traced {}

impl ProducerContext for Traced {
    type DeliveryOpaque = Box<SendSpan>;

    fn delivery(&self, result: &DeliveryResult<'_>, span: Box<SendSpan>) {
        match result {
            Ok(message) => span.acknowledged(message.partition(), message.offset()),
            Err((error, _)) => span.failed(error),
        }
    }
}

#[tokio::test]
async fn a_base_producer_is_traced_with_a_send_span() {
    let kafka = Kafka::with_topic("base");
    let producer: BaseProducer<Traced> = kafka.config().create_with_context(Traced).unwrap();
    let mut headers = OwnedHeaders::new();
    let span = kafka
        .instrumentation()
        .send_span("base", None, Some(b"v"), &mut headers);
    let sent = span.context().clone();
    let record = BaseRecord::<(), str, _>::with_opaque_to("base", Box::new(span))
        .payload("v")
        .headers(headers);
    producer.send(record).map_err(|(error, _)| error).unwrap();
    producer.flush(LIMIT).unwrap();

    let send = kafka.span("send base");
    assert_eq!(
        attribute(&send, "messaging.destination.partition.id"),
        string("0").as_ref()
    );
    assert_eq!(send.status, Status::Unset);
    let consumer = kafka.consumer();
    let message = receive(&consumer).await;
    drop(kafka.instrumentation().process_span(&message));
    let process = kafka.span("process base");
    assert_eq!(process.parent_span_id, send.span_context.span_id());
    drop(sent);
}

#[test]
fn errors_say_whether_to_try_again() {
    for (code, retriable, fatal) in [
        (RDKafkaErrorCode::QueueFull, true, false),
        (RDKafkaErrorCode::MessageTimedOut, true, false),
        (RDKafkaErrorCode::NotEnoughReplicas, true, false),
        (RDKafkaErrorCode::MessageSizeTooLarge, false, false),
        (RDKafkaErrorCode::TopicAuthorizationFailed, false, false),
        (RDKafkaErrorCode::Fatal, false, true),
    ] {
        let error = messaging::Error::from(KafkaError::MessageProduction(code));
        assert_eq!(
            (error.is_retriable(), error.is_fatal()),
            (retriable, fatal),
            "{code:?}"
        );
        assert_eq!(error.error_type(), format!("{code:?}"));
    }
    let none = messaging::Error::from(KafkaError::Canceled);
    assert_eq!(
        (none.error_type().as_str(), none.is_retriable()),
        ("_OTHER", false)
    );
}
