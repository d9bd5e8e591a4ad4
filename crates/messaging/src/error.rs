//! What can go wrong between us and the broker.

use rdkafka::{error::KafkaError, types::RDKafkaErrorCode};

/// An error of the producer, the consumer or the making of topics.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// The broker, or librdkafka on its behalf, said no.
    #[error("{0}")]
    Kafka(#[from] KafkaError),
    /// A topic could not be made.
    #[error("topic {topic}: {code}")]
    Topic {
        /// The topic's name.
        topic: String,
        /// Why not.
        code: RDKafkaErrorCode,
    },
    /// The operating system gave the consumer no thread.
    #[error("no thread for the consumer: {0}")]
    Thread(String),
}

impl Error {
    /// A name of low cardinality for `error.type`: librdkafka's error code, as rdkafka spells it
    /// (`MessageTimedOut`), or `_OTHER` where there is none.
    #[must_use]
    pub fn error_type(&self) -> String {
        let code = match self {
            Self::Kafka(error) => error.rdkafka_error_code(),
            Self::Topic { code, .. } => Some(*code),
            Self::Thread(_) => None,
        };
        code.map_or_else(|| "_OTHER".to_owned(), |code| format!("{code:?}"))
    }
}
