//! What the builder sets.

use std::{
    num::NonZeroUsize,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use crate::{
    common::{Kafka, NOT_WHEN_FULL, Running, Seen, spans, until},
    dead_letters::{letters, refuse_poison},
};
use delivery::{Backoff, Failure, FailureClass, Handler, RetryPolicy};
use messaging::{FutureRecord, OwnedMessage};

#[tokio::test]
async fn several_topics_share_a_consumer_and_a_topic_for_dead_letters() {
    let kafka = Kafka::with_topic("several.a", 1);
    kafka.cluster.create_topic("several.b", 1, 1).unwrap();
    kafka.cluster.create_topic("graves", 1, 1).unwrap();
    for topic in ["several.a", "several.b"] {
        for payload in ["poison", topic] {
            let record = FutureRecord::to(topic).key("k").payload(payload);
            kafka.producer().send(record, NOT_WHEN_FULL).await.unwrap();
        }
    }
    let builder = kafka
        .builder(&[])
        .topic("several.b")
        .dead_letters_to("graves");
    let seen = Seen::default();
    let consumer = Running::start(builder, refuse_poison(&seen));
    until("all are handled", || seen.all().len() == 4).await;
    let letters = letters(&kafka, "graves", 2).await;
    consumer.stop().await;
    let mut originals: Vec<_> = letters
        .iter()
        .map(|letter| letter.original().unwrap())
        .collect();
    originals.sort();
    let expected = ["several.a", "several.b"].map(|topic| (topic.to_owned(), 0, 0));
    assert_eq!(originals, expected);
}

#[tokio::test]
async fn without_dead_letters_a_message_that_cannot_be_handled_is_skipped() {
    let kafka = Kafka::with_topic("skipped", 1);
    kafka.send(0, "k", "poison").await;
    kafka.send(0, "k", "food").await;
    let seen = Seen::default();
    let builder = kafka.builder(&[]).without_dead_letters();
    let consumer = Running::start(builder, refuse_poison(&seen));
    until("the next is handled", || seen.all().len() == 2).await;
    consumer.stop().await;
    assert_eq!(seen.all(), ["poison", "food"]);
    assert_eq!(kafka.committed(0), Some(2));
    assert!(spans("send skipped.dlq").is_empty());
}

#[tokio::test]
async fn the_retry_policy_decides_how_often_a_message_is_tried() {
    let kafka = Kafka::with_topic("policy", 1);
    kafka.cluster.create_topic("policy.dlq", 1, 1).unwrap();
    kafka.send(0, "k", "fails").await;
    let mut policy = RetryPolicy::default();
    policy.transient_tries = 3;
    policy.transient = Backoff {
        first: Duration::from_millis(1),
        longest: Duration::from_millis(1),
    };
    let builder = kafka.builder(&[]).retries(policy);
    let consumer = Running::start(builder, |_message: OwnedMessage| async {
        Err(Failure::new(FailureClass::Transient, "broken", "it fails"))
    });
    assert_eq!(letters(&kafka, "policy.dlq", 1).await[0].attempts(), 3);
    consumer.stop().await;
}

/// Counts the handlers that run at once.
#[derive(Clone, Default)]
struct AtOnce(Arc<[AtomicUsize; 3]>);

impl AtOnce {
    fn handler(&self) -> impl Handler {
        let this = self.clone();
        move |_message: OwnedMessage| {
            let this = this.clone();
            async move {
                let [now, most, all] = &*this.0;
                most.fetch_max(now.fetch_add(1, SeqCst) + 1, SeqCst);
                // Others have time to start, if they may.
                tokio::time::sleep(Duration::from_millis(100)).await;
                now.fetch_sub(1, SeqCst);
                all.fetch_add(1, SeqCst);
                Ok(())
            }
        }
    }

    fn most(&self) -> usize {
        self.0[1].load(SeqCst)
    }

    fn all(&self) -> usize {
        self.0[2].load(SeqCst)
    }
}

#[tokio::test]
async fn concurrency_and_bytes_bound_how_many_messages_are_handled_at_once() {
    for (topic, concurrency, bytes) in [("two.at.once", 2, 1_000_000), ("two.by.bytes", 100, 1_500)]
    {
        let kafka = Kafka::with_topic(topic, 1);
        for key in 0..9 {
            kafka.send(0, &key.to_string(), &"x".repeat(1_000)).await;
        }
        let builder = kafka
            .builder(&[])
            .concurrency(NonZeroUsize::new(concurrency).unwrap())
            .max_bytes(bytes);
        let at_once = AtOnce::default();
        let consumer = Running::start(builder, at_once.handler());
        until("all are handled", || at_once.all() == 9).await;
        consumer.stop().await;
        assert_eq!(at_once.most(), 2, "{topic}");
    }
}
