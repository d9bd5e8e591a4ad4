//! What ends a consumer, or keeps one from starting.

use rdkafka::{error::KafkaError, types::RDKafkaErrorCode};

/// An error of a consumer, a producer or the creation of topics.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// librdkafka or the broker refused something.
    #[error(transparent)]
    Kafka(#[from] KafkaError),
    /// A setting would break a promise of this crate.
    #[error("{name} must be {required}: {reason}")]
    Setting {
        /// librdkafka's name of the setting.
        name: &'static str,
        /// The value that it must have.
        required: &'static str,
        /// What would go wrong otherwise.
        reason: &'static str,
    },
    /// Something that a consumer needs was not given.
    #[error("a consumer needs {0}")]
    Missing(&'static str),
    /// A topic could not be created.
    #[error("topic {topic}: {code}")]
    Topic {
        /// The topic's name.
        topic: String,
        /// The broker's reason.
        code: RDKafkaErrorCode,
    },
}

impl Error {
    /// librdkafka's error code, if there is one.
    #[must_use]
    pub fn code(&self) -> Option<RDKafkaErrorCode> {
        match self {
            Self::Kafka(error) => error.rdkafka_error_code(),
            Self::Topic { code, .. } => Some(*code),
            _ => None,
        }
    }

    /// True if only another program, or another configuration, can succeed.
    #[must_use]
    pub fn is_fatal(&self) -> bool {
        match self {
            Self::Setting { .. } | Self::Missing(_) => true,
            Self::Kafka(KafkaError::MessageConsumptionFatal(_)) => true,
            Self::Kafka(KafkaError::ClientConfig(..) | KafkaError::ClientCreation(_)) => true,
            _ => self.code() == Some(RDKafkaErrorCode::Fatal),
        }
    }

    /// True if the same may succeed later: the broker was not reachable or not ready.
    #[must_use]
    pub fn is_retriable(&self) -> bool {
        match self {
            Self::Kafka(error) => messaging::Error::from(error.clone()).is_retriable(),
            Self::Topic { code, .. } => {
                let error = KafkaError::AdminOp(*code);
                messaging::Error::from(error).is_retriable()
            }
            _ => false,
        }
    }
}
