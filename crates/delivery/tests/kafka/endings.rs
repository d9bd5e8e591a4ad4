//! Handlers that do not come to their end: they panic, hang, or are cancelled.

use std::{
    num::NonZeroUsize,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
};

use crate::common::{Kafka, Running, Seen, attribute, spans, text, until};
use delivery::{Failure, Handler, RetryPolicy};
use messaging::OwnedMessage;
use opentelemetry::Value;

/// Panics when it is called, before there is a future.
struct PanicsAtOnce(Seen);

impl Handler for PanicsAtOnce {
    // Not an async function, which would panic later: when it is polled.
    fn handle(&self, message: &OwnedMessage) -> impl Future<Output = Result<(), Failure>> + Send {
        assert!(text(message) != "poison", "before the first await");
        self.0.push(message);
        async { Ok(()) }
    }
}

#[tokio::test]
async fn a_panic_before_the_first_await_releases_slot_lane_and_offset() {
    let kafka = Kafka::with_topic("panics.at.once", 1);
    kafka.send(0, "k", "poison").await;
    kafka.send(0, "k", "same key").await;
    kafka.send(0, "other", "other key").await;
    let mut once = RetryPolicy::default();
    once.transient_tries = 1;
    let builder = kafka
        .builder(&[])
        .concurrency(NonZeroUsize::MIN)
        .retries(once)
        .without_dead_letters();
    let seen = Seen::default();
    let consumer = Running::start(builder, PanicsAtOnce(seen.clone()));
    until("those behind it are handled", || seen.all().len() == 2).await;
    consumer.stop().await;
    assert_eq!(seen.all(), ["same key", "other key"]);
    assert_eq!(kafka.committed(0), Some(3));
}

#[tokio::test]
async fn a_handler_that_hangs_at_shutdown_is_cancelled_and_its_message_comes_again() {
    let kafka = Kafka::with_topic("hangs.at.shutdown", 1);
    kafka.send(0, "k", "hangs").await;
    let started = Arc::new(AtomicUsize::new(0));
    let consumer = kafka.consume({
        let started = Arc::clone(&started);
        move |_message: OwnedMessage| {
            started.fetch_add(1, SeqCst);
            std::future::pending()
        }
    });
    until("it hangs", || started.load(SeqCst) == 1).await;
    // Bounded by a limit far above the time for the shutdown.
    consumer.stop().await;
    let process = &spans("process hangs.at.shutdown")[0];
    let error_type = attribute(process, "error.type");
    assert_eq!(error_type, Some(&Value::String("cancelled".into())));
    assert_eq!(kafka.committed(0), None);

    let again = Seen::default();
    let consumer = kafka.consume({
        let again = again.clone();
        move |message: OwnedMessage| {
            again.push(&message);
            async { Ok(()) }
        }
    });
    until("it has come again", || again.all() == ["hangs"]).await;
    consumer.stop().await;
    assert_eq!(kafka.committed(0), Some(1));
}

/// That the group is left at once, and not when the session expires, is tested with Apache Kafka: the broker in this
/// process waits as long in both cases.
#[tokio::test]
async fn dropping_the_future_of_run_cancels_handlers_and_their_messages_come_again() {
    let kafka = Kafka::with_topic("dropped", 2);
    for partition in 0..2 {
        kafka.send(partition, "k", &partition.to_string()).await;
    }
    let held = Arc::new(());
    let consumer = kafka.consume({
        let held = Arc::clone(&held);
        move |_message: OwnedMessage| {
            let held = Arc::clone(&held);
            async move {
                std::future::pending::<()>().await;
                drop(held);
                Ok(())
            }
        }
    });
    // The test, the closure, and two handlers.
    until("both are handled", || Arc::strong_count(&held) == 4).await;
    consumer.drop_future().await;
    until("handlers are gone", || Arc::strong_count(&held) == 1).await;

    let seen = Seen::default();
    let next = kafka.consume({
        let seen = seen.clone();
        move |message: OwnedMessage| {
            seen.push(&message);
            async { Ok(()) }
        }
    });
    until("another member has all", || seen.all().len() == 2).await;
    assert_eq!(next.membership.partitions(), 2);
    next.stop().await;
}
