//! Why a relay stopped sending.

use std::time::Duration;

/// What went wrong in a [`Relay`](crate::Relay).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The connection that holds the lock failed, or a statement on it.
    #[error("the outbox cannot be read: {0}")]
    Database(#[from] sqlx::Error),
    /// A statement was not answered in this time. Its connection is closed.
    #[error("the outbox cannot be read: PostgreSQL did not answer within {0:?}")]
    Timeout(Duration),
    /// The producer has failed for good, for example because the broker lost track of its sequence numbers. The relay
    /// makes a new one.
    #[error("the producer failed for good: {0}")]
    ProducerFailed(String),
    /// The caller's function made no producer, most often because librdkafka refuses a setting.
    #[error("no producer can be made: {0}")]
    NoProducer(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl Error {
    /// True if the relay cannot go on by itself: [`Relay::run`](crate::Relay::run) returns the error.
    #[must_use]
    pub fn is_fatal(&self) -> bool {
        matches!(self, Self::NoProducer(_))
    }

    /// True if the relay goes on after a pause, with a new connection and a new producer.
    #[must_use]
    pub fn is_retriable(&self) -> bool {
        !self.is_fatal()
    }
}
