//! What becomes of messages that can't be handled.

use std::time::Duration;

use crate::common::{Kafka, NOT_WHEN_FULL, Seen, attribute, spans, text, until};
use delivery::{Failure, FailureClass, dead_letter::DeadLetter};
use messaging::{FutureRecord, Message, OwnedMessage};
use opentelemetry::{Value, trace::FutureExt};
use rdkafka::{
    ClientConfig,
    consumer::{BaseConsumer, Consumer},
    types::{RDKafkaApiKey, RDKafkaRespErr},
};

/// Reads the first dead letter of the topic.
async fn first_letter(kafka: &Kafka) -> DeadLetter {
    let topic = format!("{}.dlq", kafka.topic);
    letters(kafka, &topic, 1).await.remove(0)
}

/// Reads so many dead letters from partition 0 of a topic, once they are there.
pub(crate) async fn letters(kafka: &Kafka, topic: &str, count: usize) -> Vec<DeadLetter> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", kafka.cluster.bootstrap_servers())
        .set("group.id", "reader")
        .create()
        .unwrap();
    let mut list = rdkafka::TopicPartitionList::new();
    list.add_partition_offset(topic, 0, rdkafka::Offset::Beginning)
        .unwrap();
    consumer.assign(&list).unwrap();
    let mut letters = Vec::new();
    until("the letters are there", || {
        let letter = consumer.poll(Duration::ZERO).and_then(Result::ok);
        letters.extend(letter.map(|letter| DeadLetter::new(letter.detach())));
        letters.len() == count
    })
    .await;
    letters
}

async fn send(kafka: &Kafka, payloads: &[&str]) {
    for payload in payloads {
        let record = FutureRecord::to(kafka.topic).key("k").payload(*payload);
        kafka.producer().send(record, NOT_WHEN_FULL).await.unwrap();
    }
}

fn kafka(topic: &'static str) -> Kafka {
    let kafka = Kafka::with_topic(topic, 1);
    kafka
        .cluster
        .create_topic(&format!("{topic}.dlq"), 1, 1)
        .unwrap();
    kafka
}

/// A handler that refuses the message `poison` for good.
pub(crate) fn refuse_poison(seen: &Seen) -> impl delivery::Handler {
    let seen = seen.clone();
    move |message: OwnedMessage| {
        seen.push(&message);
        let poison = text(&message) == "poison";
        async move {
            if poison {
                let class = FailureClass::Permanent;
                return Err(Failure::new(class, "invalid_message", "it is poison"));
            }
            Ok(())
        }
    }
}

#[tokio::test]
async fn poison_is_kept_at_once_and_holds_nobody_up() {
    let kafka = kafka("poison");
    send(&kafka, &["poison", "food"]).await;
    let seen = Seen::default();
    let consumer = kafka.consume(refuse_poison(&seen));
    until("the next is handled", || {
        seen.all().contains(&"food".to_owned())
    })
    .await;
    consumer.stop().await;
    assert_eq!(seen.all(), ["poison", "food"], "one attempt each");

    let letter = first_letter(&kafka).await;
    assert_eq!(text(letter.message()), "poison");
    assert_eq!(letter.original(), Some(("poison".to_owned(), 0, 0)));
    assert_eq!(letter.error_type().as_deref(), Some("invalid_message"));
    assert_eq!(letter.error_message().as_deref(), Some("it is poison"));
    assert_eq!(letter.attempts(), 1);

    let process = &spans("process poison")[0];
    let kept = &spans("send poison.dlq")[0];
    assert_eq!(
        kept.span_context.trace_id(),
        process.span_context.trace_id()
    );
    assert_eq!(kept.parent_span_id, process.span_context.span_id());
}

#[tokio::test]
async fn who_keeps_failing_gets_five_attempts() {
    let kafka = kafka("failing");
    send(&kafka, &["first"]).await;
    let consumer = kafka.consume(|_message: OwnedMessage| async { panic!("a defect") });
    until("it is kept", || !spans("send failing.dlq").is_empty()).await;
    consumer.stop().await;
    let attempts = spans("process failing");
    assert_eq!(attempts.len(), 5);
    for attempt in &attempts {
        let error_type = attribute(attempt, "error.type");
        assert_eq!(error_type, Some(&Value::String("panic".into())));
    }
    assert_eq!(first_letter(&kafka).await.attempts(), 5);
}

#[tokio::test]
async fn a_message_is_not_skipped_while_its_letter_cannot_be_written() {
    let kafka = kafka("no.letters");
    let refused = RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED;
    kafka
        .cluster
        .topic_error("no.letters.dlq", refused)
        .unwrap();
    send(&kafka, &["poison"]).await;
    let seen = Seen::default();
    let consumer = kafka.consume(refuse_poison(&seen));
    until("it was tried", || !spans("send no.letters.dlq").is_empty()).await;
    consumer.stop().await;

    let allowed = RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR;
    kafka
        .cluster
        .topic_error("no.letters.dlq", allowed)
        .unwrap();
    let consumer = kafka.consume(refuse_poison(&seen));
    assert_eq!(text(first_letter(&kafka).await.message()), "poison");
    consumer.stop().await;
    assert_eq!(seen.all(), ["poison", "poison"], "it came again");
}

#[tokio::test]
async fn a_letter_that_is_too_large_for_its_topic_is_cut_to_a_reference() {
    let kafka = kafka("too.large");
    send(&kafka, &["poison", "food"]).await;
    let too_large = RDKafkaRespErr::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE;
    kafka
        .cluster
        .request_errors(RDKafkaApiKey::Produce, &[too_large]);
    let seen = Seen::default();
    let consumer = kafka.consume(refuse_poison(&seen));
    let letter = first_letter(&kafka).await;
    until("the next is handled", || seen.all().len() == 2).await;
    consumer.stop().await;
    assert!(letter.is_truncated());
    assert_eq!(letter.message().payload(), None);
    assert_eq!(letter.message().key(), Some(&b"k"[..]));
    assert_eq!(letter.original(), Some(("too.large".to_owned(), 0, 0)));
    assert_eq!(letter.error_type().as_deref(), Some("invalid_message"));
    assert_eq!(seen.all(), ["poison", "food"], "one try each");
    assert_eq!(kafka.committed(0), Some(2));
}

#[tokio::test]
async fn a_replay_goes_on_in_the_same_trace() {
    let kafka = kafka("replayed");
    send(&kafka, &["poison"]).await;
    let seen = Seen::default();
    let consumer = kafka.consume(refuse_poison(&seen));
    let letter = first_letter(&kafka).await;
    consumer.stop().await;

    let (topic, _, _) = letter.original().unwrap();
    let replay = letter.replay(&topic).unwrap();
    kafka
        .producer()
        .send(replay, NOT_WHEN_FULL)
        .with_context(letter.context())
        .await
        .unwrap();
    // Whatever was wrong is mended.
    let consumer = kafka.consume(|_message: OwnedMessage| async { Ok(()) });
    until("it is processed again", || {
        spans("process replayed").len() == 2
    })
    .await;
    consumer.stop().await;

    let (sends, processed) = (spans("send replayed"), spans("process replayed"));
    let kept = &spans("send replayed.dlq")[0];
    assert_eq!(sends[1].parent_span_id, kept.span_context.span_id());
    assert_eq!(processed[1].parent_span_id, sends[1].span_context.span_id());
    assert_eq!(
        processed[1].span_context.trace_id(),
        sends[0].span_context.trace_id()
    );
    let count = attribute(&processed[1], "orderflow.messaging.retry_count");
    assert_eq!(count, Some(&Value::I64(1)), "the retry is visible");
}
