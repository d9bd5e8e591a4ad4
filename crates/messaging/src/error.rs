//! Why a message was not sent.

use rdkafka::{error::KafkaError, types::RDKafkaErrorCode};

/// A message was not sent, or no broker has acknowledged it.
#[derive(Debug, Clone, thiserror::Error)]
#[error(transparent)]
pub struct Error(#[from] KafkaError);

impl Error {
    /// librdkafka's error code; `None` for an error that has none, such as a malformed record.
    #[must_use]
    pub fn code(&self) -> Option<RDKafkaErrorCode> {
        self.0.rdkafka_error_code()
    }

    /// A name for `error.type`: librdkafka's error code as rdkafka spells it (`MessageTimedOut`), or `_OTHER`.
    #[must_use]
    pub fn error_type(&self) -> String {
        type_of(&self.0)
    }

    /// True if the producer can never send again and must be replaced, for example because the broker has lost track
    /// of an idempotent producer.
    #[must_use]
    pub fn is_fatal(&self) -> bool {
        self.code() == Some(RDKafkaErrorCode::Fatal)
    }

    /// True if the same message may be accepted later: the broker was not reachable, busy or about to move the
    /// partition, or the queue was full. False if it was refused: too large, no permission, no such topic.
    #[must_use]
    pub fn is_retriable(&self) -> bool {
        use RDKafkaErrorCode as Code;
        matches!(
            self.code(),
            Some(
                Code::QueueFull
                    | Code::MessageTimedOut
                    | Code::OperationTimedOut
                    | Code::TimedOutQueue
                    | Code::RequestTimedOut
                    | Code::BrokerTransportFailure
                    | Code::AllBrokersDown
                    | Code::Resolve
                    | Code::BrokerNotAvailable
                    | Code::LeaderNotAvailable
                    | Code::NotLeaderForPartition
                    | Code::NotEnoughReplicas
                    | Code::NotEnoughReplicasAfterAppend
                    | Code::NetworkException
                    | Code::PurgeQueue
                    | Code::PurgeInflight
                    | Code::ThrottlingQuotaExceeded
                    | Code::KafkaStorageError
            )
        )
    }
}

/// See [`Error::error_type`].
pub(crate) fn type_of(error: &KafkaError) -> String {
    let code = error.rdkafka_error_code();
    code.map_or_else(|| "_OTHER".to_owned(), |code| format!("{code:?}"))
}
