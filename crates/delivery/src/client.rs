//! librdkafka's log lines and errors, written through `tracing`.
//!
//! librdkafka reconnects by itself for as long as it takes, and reports every failed try as an error. For a consumer
//! that waits for its broker, a broker that is down is a state and not an error, so these lines are warnings at most.

use std::{ops::Deref, thread};

use rdkafka::{ClientContext, config::RDKafkaLogLevel, error::KafkaError};
use tracing::{debug, info, warn};

/// A context for rdkafka's clients that logs through `tracing`, with the target `librdkafka`.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Logging;

impl ClientContext for Logging {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        match level {
            RDKafkaLogLevel::Debug => debug!(target: "librdkafka", facility, "{message}"),
            RDKafkaLogLevel::Info | RDKafkaLogLevel::Notice => {
                info!(target: "librdkafka", facility, "{message}");
            }
            _ => warn!(target: "librdkafka", facility, "{message}"),
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        warn!(target: "librdkafka", %error, "{reason}");
    }
}

/// A client that is dropped on a thread of its own. Dropping a client of librdkafka joins threads and waits for brokers,
/// which must not block an async runtime.
#[derive(Debug)]
pub(crate) struct DroppedAside<T: Send + 'static>(Option<T>);

impl<T: Send + 'static> DroppedAside<T> {
    pub(crate) fn new(client: T) -> Self {
        Self(Some(client))
    }
}

impl<T: Send + 'static> Deref for DroppedAside<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.0.as_ref().expect("a client that is not dropped yet")
    }
}

impl<T: Send + 'static> Drop for DroppedAside<T> {
    fn drop(&mut self) {
        let client = self.0.take();
        let thread = thread::Builder::new().name("kafka-drop".to_owned());
        // Without a thread the closure is dropped here, and the client with it.
        if let Err(error) = thread.spawn(move || drop(client)) {
            warn!(%error, "no thread to drop a Kafka client on");
        }
    }
}
