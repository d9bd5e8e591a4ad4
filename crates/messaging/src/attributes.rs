//! What `send` and `process` spans have in common.
//!
//! Names of attributes are those of OpenTelemetry's semantic conventions for Kafka, v1.44.0; two are our own,
//! because the conventions have none for them.

use opentelemetry::{Context, Value};
use opentelemetry_semantic_conventions::attribute::ERROR_TYPE;
use tracing::Span;
use tracing_opentelemetry::{OpenTelemetrySpanExt, SetParentError};

/// The attribute for how long a message lay in the queue before it was first processed, in seconds.
pub const QUEUE_TIME: &str = "orderflow.messaging.queue_time";
/// The attribute for which further attempt at a message this is; absent on the first.
pub const RETRY_COUNT: &str = "orderflow.messaging.retry_count";

/// Kafka's default port, for an address that names none.
const DEFAULT_PORT: i64 = 9092;

/// What is true of every span of one client. The other attributes stand where the spans are made.
#[derive(Debug)]
pub(crate) struct Client {
    /// `messaging.client.id`.
    pub(crate) id: String,
    /// `server.address`: the first broker's.
    pub(crate) address: String,
    /// `server.port`.
    pub(crate) port: i64,
}

impl Client {
    pub(crate) fn new(brokers: &str, id: &str) -> Self {
        let (address, port) = first_broker(brokers);
        Self {
            id: id.to_owned(),
            address: address.to_owned(),
            port,
        }
    }
}

/// A message's key, as an attribute. One that is no text is left out.
pub(crate) fn text(key: Option<&[u8]>) -> Option<&str> {
    key.and_then(|key| std::str::from_utf8(key).ok())
}

/// True of a message that has no value, and absent otherwise.
pub(crate) fn tombstone(payload: Option<&[u8]>) -> Option<bool> {
    payload.is_none().then_some(true)
}

/// Marks a span as failed.
pub(crate) fn set_error(span: &Span, error_type: impl Into<Value>, description: String) {
    span.set_attribute(ERROR_TYPE, error_type);
    span.set_status(opentelemetry::trace::Status::error(description));
}

/// Makes `parent` the parent of a span that has not started yet.
///
/// A span that has started keeps the parent it has, and `set_parent` says so only in its result:
/// never discard it. That no OpenTelemetry layer is there to take the parent is no error: the
/// program runs without tracing then.
pub(crate) fn set_parent(span: &Span, parent: Context) {
    if let Err(error @ SetParentError::AlreadyStarted) = span.set_parent(parent) {
        tracing::error!(%error, "a message's span lost its parent");
    }
}

fn first_broker(brokers: &str) -> (&str, i64) {
    let first = brokers.split(',').next().unwrap_or_default().trim();
    let first = first.split_once("://").map_or(first, |(_, rest)| rest);
    let (address, port) = match first.rsplit_once(':') {
        Some((address, port)) => match port.parse() {
            Ok(port) => (address, port),
            Err(_) => (first, DEFAULT_PORT),
        },
        None => (first, DEFAULT_PORT),
    };
    (address.trim_matches(['[', ']']), port)
}

#[cfg(test)]
mod tests {
    use super::first_broker;

    #[test]
    fn first_broker_of_a_bootstrap_list() {
        for (brokers, expected) in [
            ("localhost:9094", ("localhost", 9094)),
            ("a:1,b:2", ("a", 1)),
            (" a:1 , b:2", ("a", 1)),
            ("kafka", ("kafka", 9092)),
            ("PLAINTEXT://kafka:9093", ("kafka", 9093)),
            ("[::1]:9094", ("::1", 9094)),
            ("", ("", 9092)),
        ] {
            assert_eq!(first_broker(brokers), expected, "{brokers:?}");
        }
    }
}
