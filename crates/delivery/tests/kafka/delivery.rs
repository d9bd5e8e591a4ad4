//! At least once, many messages at once, those of one key in order.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
};

use crate::common::{Kafka, NOT_WHEN_FULL, Seen, text, until};
use messaging::{FutureRecord, Message, OwnedMessage};
use tokio::sync::{Barrier, Notify};

async fn send(kafka: &Kafka, messages: &[(&str, &str)]) {
    let producer = kafka.producer();
    for (key, payload) in messages {
        let record = FutureRecord::to(kafka.topic).key(*key).payload(*payload);
        producer.send(record, NOT_WHEN_FULL).await.unwrap();
    }
}

#[tokio::test]
async fn messages_of_different_keys_are_handled_at_once() {
    let kafka = Kafka::with_topic("at.once", 1);
    send(&kafka, &[("a", "1"), ("b", "2"), ("c", "3")]).await;
    let seen = Seen::default();
    let all_here = Arc::new(Barrier::new(3));
    let consumer = kafka.consume({
        let seen = seen.clone();
        move |message: OwnedMessage| {
            let (seen, all_here) = (seen.clone(), Arc::clone(&all_here));
            async move {
                // Opens only when all three are being handled at the same time.
                all_here.wait().await;
                seen.push(&message);
                Ok(())
            }
        }
    });
    until("all are handled", || seen.all().len() == 3).await;
    consumer.stop().await;
}

#[tokio::test]
async fn a_message_comes_again_until_it_and_all_before_it_are_done() {
    let kafka = Kafka::with_topic("again", 1);
    send(
        &kafka,
        &[("slow", "first"), ("quick", "second"), ("quick", "third")],
    )
    .await;

    // The first hangs; those behind it are done. Then the consumer ends.
    let seen = Seen::default();
    let consumer = kafka.consume({
        let seen = seen.clone();
        move |message: OwnedMessage| {
            let seen = seen.clone();
            async move {
                seen.push(&message);
                if text(&message) == "first" {
                    std::future::pending::<()>().await;
                }
                Ok(())
            }
        }
    });
    until("the third is handled", || {
        seen.all().contains(&"third".to_owned())
    })
    .await;
    consumer.stop().await;

    let again = Seen::default();
    let consumer = kafka.consume({
        let again = again.clone();
        move |message: OwnedMessage| {
            again.push(&message);
            async { Ok(()) }
        }
    });
    until("the first has come again", || {
        again.all().contains(&"first".to_owned())
    })
    .await;
    until("those behind it too", || again.all().len() == 3).await;
    consumer.stop().await;

    // All are done and stored now: only what is new comes.
    send(&kafka, &[("new", "fourth")]).await;
    let rest = Seen::default();
    let consumer = kafka.consume({
        let rest = rest.clone();
        move |message: OwnedMessage| {
            rest.push(&message);
            async { Ok(()) }
        }
    });
    until("the fourth is handled", || !rest.all().is_empty()).await;
    consumer.stop().await;
    assert_eq!(rest.all(), ["fourth"]);
}

#[tokio::test]
async fn what_is_being_handled_at_the_end_is_finished() {
    let kafka = Kafka::with_topic("at.the.end", 1);
    send(&kafka, &[("k", "1")]).await;
    let (started, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let seen = Seen::default();
    let consumer = kafka.consume({
        let (seen, started, go_on) = (seen.clone(), Arc::clone(&started), Arc::clone(&go_on));
        move |message: OwnedMessage| {
            let (seen, started, go_on) = (seen.clone(), Arc::clone(&started), Arc::clone(&go_on));
            async move {
                started.notify_one();
                go_on.notified().await;
                seen.push(&message);
                Ok(())
            }
        }
    });
    started.notified().await;
    let stopped = tokio::spawn(consumer.stop());
    go_on.notify_one();
    stopped.await.unwrap();
    assert_eq!(seen.all(), ["1"]);
}

#[tokio::test]
async fn two_consumers_of_a_group_share_the_work_and_lose_none() {
    let kafka = Kafka::with_topic("shared", 4);
    let keys: Vec<String> = (0..200).map(|number| number.to_string()).collect();
    let messages: Vec<(&str, &str)> = keys
        .iter()
        .map(|key| (key.as_str(), key.as_str()))
        .collect();
    let (first, second) = (Seen::default(), Seen::default());
    let handler = |seen: &Seen| {
        let seen = seen.clone();
        move |message: OwnedMessage| {
            seen.push(&message);
            async { Ok(()) }
        }
    };
    let one = kafka.consume(handler(&first));
    send(&kafka, &messages[..50]).await;
    until("the first is at work", || !first.all().is_empty()).await;
    let other = kafka.consume(handler(&second));
    // Sends until the second has got partitions of its own.
    let mut sent = 50;
    until("the second is at work", || {
        !second.all().is_empty() || sent < messages.len()
    })
    .await;
    while second.all().is_empty() {
        let next = &messages[sent % messages.len()];
        send(&kafka, std::slice::from_ref(next)).await;
        sent += 1;
    }
    send(&kafka, &messages).await;
    let all = || -> BTreeSet<String> { first.all().into_iter().chain(second.all()).collect() };
    until("none is missing", || all().len() == messages.len()).await;
    one.stop().await;
    other.stop().await;
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
            producer.send(record, NOT_WHEN_FULL).await.unwrap();
            expected.push(payload);
        }
    }
    let seen = Seen::default();
    let running = std::sync::Arc::new(Mutex::new(BTreeSet::new()));
    let consumer = kafka.consume({
        let seen = seen.clone();
        move |message: OwnedMessage| {
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
        }
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
