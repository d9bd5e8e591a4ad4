//! Writing dead letters.

use std::{sync::Arc, time::Duration};

use messaging::Producer;
use rdkafka::{message::OwnedMessage, types::RDKafkaErrorCode};
use tracing::warn;

use crate::{Failure, Logging, client::DroppedAside, core::End, dead_letter::Letter};

/// A dead letter that does not fit into librdkafka's queue fails at once, and is retried later.
const NOT_WHEN_FULL: Duration = Duration::ZERO;

/// Where dead letters go. Clones share the producer.
#[derive(Debug, Clone)]
pub(crate) struct Letters {
    producer: Arc<DroppedAside<Producer<Logging>>>,
    /// The topic; by default that of the message with `.dlq` appended.
    topic: Option<String>,
}

impl Letters {
    pub(crate) fn new(producer: Producer<Logging>, topic: Option<String>) -> Self {
        Self {
            producer: Arc::new(DroppedAside::new(producer)),
            topic,
        }
    }

    /// Writes the dead letter of a message. One that is too large for the broker is cut to a reference, which says where
    /// the original is and why it failed, and always fits.
    pub(crate) async fn write(&self, message: &OwnedMessage, failure: &Failure, tries: u32) -> End {
        let topic = self.topic.as_deref();
        let whole = Letter::new(message, topic, failure, tries);
        match self.send(&whole).await {
            Err(error) if error.code() == Some(RDKafkaErrorCode::MessageSizeTooLarge) => {
                warn!(
                    topic = whole.topic(),
                    "a dead letter is too large; a reference to it is written"
                );
                let reference = Letter::reference(message, topic, failure, tries);
                end(&reference, self.send(&reference).await)
            }
            result => end(&whole, result),
        }
    }

    async fn send(&self, letter: &Letter<'_>) -> Result<(), messaging::Error> {
        let sent = self.producer.send(letter.record(), NOT_WHEN_FULL).await;
        sent.map(drop)
    }
}

fn end(letter: &Letter<'_>, result: Result<(), messaging::Error>) -> End {
    let Err(error) = result else {
        return End::LetterWritten;
    };
    let topic = letter.topic();
    warn!(topic, %error, "a dead letter was not written; it is retried");
    if error.is_retriable() {
        End::LetterFailed
    } else {
        // Only an operator can help: the topic is missing, or writing to it is forbidden.
        End::LetterRefused(format!(
            "dead letters cannot be written to {topic}: {}",
            error.error_type()
        ))
    }
}
