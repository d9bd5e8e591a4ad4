//! What the loop keeps, for a client that never reaches a broker.

use std::sync::{Mutex, atomic::AtomicBool};

use rdkafka::{ClientConfig, message::Timestamp};

use super::*;
use crate::{FailureClass, RetryPolicy, core::Limits, kafka};

const SECOND: Duration = Duration::from_secs(1);
const LIMITS: Limits = Limits {
    handlers: 10,
    messages: 20,
    bytes: 1_000,
    revoke: SECOND,
    drain: SECOND,
};

fn place() -> Place {
    Place::new("orders".into(), 0)
}

/// A consumer with one partition and without dead letters, whose handlers fail.
fn failing(class: FailureClass) -> Run<impl Handler> {
    let mut config = ClientConfig::new();
    config.set("group.id", "test");
    let config = kafka::settings(&config).unwrap();
    let mut core = Core::new(LIMITS, RetryPolicy::default(), false, 7);
    core.assigned(vec![place()], now());
    Run {
        shared: Arc::new(Shared {
            core: Mutex::new(core),
            is_member: AtomicBool::new(true),
        }),
        kafka: Kafka::new(&config, &["orders"]).unwrap(),
        handler: Arc::new(move |_: OwnedMessage| async move {
            Err(Failure::new(class, "simulated", "a failure"))
        }),
        instrumentation: Instrumentation::new(&config),
        letters: None,
        leave: SECOND,
        tasks: JoinSet::new(),
        running: HashMap::new(),
        contexts: HashMap::new(),
        hashes: RandomState::new(),
        logged: HashMap::new(),
    }
}

impl<H: Handler> Run<H> {
    /// Handles some messages once.
    async fn handle_once(&mut self, count: i64) {
        for offset in 0..count {
            let message = OwnedMessage::new(
                None,
                None,
                "orders".to_owned(),
                Timestamp::NotAvailable,
                0,
                offset,
                None,
            );
            let received = Received {
                place: place(),
                offset,
                key: None,
                bytes: 1,
                tries_before: 0,
                message: Arc::new(message),
            };
            self.core().received(received, now());
        }
        self.perform();
        for _ in 0..count {
            let ended = self.tasks.join_next_with_id().await.unwrap();
            self.ended(ended);
        }
        assert!(self.running.is_empty());
    }
}

#[tokio::test]
async fn nothing_is_kept_of_a_message_that_is_skipped() {
    let mut run = failing(FailureClass::Permanent);
    run.handle_once(3).await;
    assert!(run.contexts.is_empty(), "{}", run.contexts.len());
}

#[tokio::test]
async fn nothing_is_kept_of_a_message_whose_partition_is_released() {
    let mut run = failing(FailureClass::Unavailable);
    run.handle_once(3).await;
    assert_eq!(run.contexts.len(), 3, "for the dead letter");
    run.core().revoked(vec![place()], false, now());
    run.perform();
    assert_eq!(run.core().assigned_count(), 0);
    assert!(run.contexts.is_empty(), "{}", run.contexts.len());
}
