//! What keeps a partition from getting on, and what readiness says of it.

use std::time::{Duration, Instant};

use crate::{
    common::{Kafka, LIMIT, Running, Seen, until},
    dead_letters::{letters, refuse_poison},
};
use messaging::OwnedMessage;
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};

#[tokio::test]
async fn a_partition_whose_letters_are_forbidden_pauses_and_others_go_on() {
    let kafka = Kafka::with_topic("forbidden.letters", 2);
    let letter_topic = "forbidden.letters.dlq";
    kafka.cluster.create_topic(letter_topic, 1, 1).unwrap();
    let forbidden = RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED;
    kafka.cluster.topic_error(letter_topic, forbidden).unwrap();
    kafka.send(0, "k", "poison").await;
    let seen = Seen::default();
    let consumer = kafka.consume(refuse_poison(&seen));
    let standstills = || consumer.membership.standstills();
    until("it is paused", || !standstills().is_empty()).await;
    let [standstill] = &standstills()[..] else {
        panic!("{:?}", standstills())
    };
    for part in ["forbidden.letters[0] is paused", letter_topic, "Topic"] {
        assert!(standstill.contains(part), "{standstill}");
    }

    kafka.send(0, "other", "waits").await;
    kafka.send(1, "k", "goes on").await;
    until("the other partition goes on", || seen.all().len() == 2).await;
    assert_eq!(seen.all(), ["poison", "goes on"]);

    let allowed = RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR;
    kafka.cluster.topic_error(letter_topic, allowed).unwrap();
    letters(&kafka, letter_topic, 1).await;
    until("the partition goes on", || seen.all().len() == 3).await;
    assert_eq!(standstills(), Vec::<String>::new());
    consumer.stop().await;
    assert_eq!(seen.all(), ["poison", "goes on", "waits"]);
    assert_eq!((kafka.committed(0), kafka.committed(1)), (Some(2), Some(1)));
}

/// Lets the consumer's clock, and not that of librdkafka, run a hundred times as fast.
async fn until_later(what: &str, mut condition: impl FnMut() -> bool) {
    let began = Instant::now();
    while !condition() {
        assert!(began.elapsed() < LIMIT, "timed out waiting until {what}");
        a_second_passes().await;
    }
}

async fn a_second_passes() {
    tokio::time::sleep(Duration::from_millis(10)).await;
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(1)).await;
    tokio::time::resume();
}

#[tokio::test]
async fn a_partition_that_cannot_be_read_is_reported_with_the_reason() {
    let kafka = Kafka::with_topic("forbidden", 1);
    kafka.send(0, "k", "first").await;
    let seen = Seen::default();
    let builder = kafka.builder(&[("statistics.interval.ms", "100")]);
    let consumer = Running::start(builder, {
        let seen = seen.clone();
        move |message: OwnedMessage| {
            seen.push(&message);
            async { Ok(()) }
        }
    });
    let standstills = || consumer.membership.standstills();
    until("the first is handled", || seen.all().len() == 1).await;
    let forbidden = RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED;
    let always = [forbidden; 10_000];
    kafka.cluster.request_errors(RDKafkaApiKey::Fetch, &always);
    kafka.send(0, "k", "second").await;
    until_later("it is reported", || {
        standstills()
            .iter()
            .any(|line| line.contains("forbidden[0]") && line.contains("TopicAuthorizationFailed"))
    })
    .await;

    kafka.cluster.clear_request_errors(RDKafkaApiKey::Fetch);
    until("the second is handled", || seen.all().len() == 2).await;
    until("it is not reported", || standstills().is_empty()).await;
    consumer.stop().await;
}

#[tokio::test]
async fn a_partition_that_could_never_be_read_is_reported_with_the_reason() {
    let kafka = Kafka::with_topic("always.forbidden", 1);
    kafka.send(0, "k", "first").await;
    let forbidden = RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED;
    let always = [forbidden; 10_000];
    kafka.cluster.request_errors(RDKafkaApiKey::Fetch, &always);
    let builder = kafka.builder(&[("statistics.interval.ms", "100")]);
    let consumer = Running::start(builder, |_message: OwnedMessage| async { Ok(()) });
    until_later("it is reported", || {
        let standstills = consumer.membership.standstills();
        standstills
            .iter()
            .any(|line| line.contains("TopicAuthorizationFailed"))
    })
    .await;
    consumer.stop().await;
}

#[tokio::test]
async fn partitions_without_unread_messages_do_not_stand_still() {
    let kafka = Kafka::with_topic("idle", 2);
    kafka.send(0, "k", "v").await;
    let seen = Seen::default();
    let builder = kafka.builder(&[("statistics.interval.ms", "100")]);
    let consumer = Running::start(builder, refuse_poison(&seen));
    until("one is read, the other is empty", || seen.all().len() == 1).await;
    for _ in 0..300 {
        a_second_passes().await;
        assert_eq!(consumer.membership.standstills(), Vec::<String>::new());
    }
    assert_eq!(consumer.membership.partitions(), 2);
    consumer.stop().await;
}
