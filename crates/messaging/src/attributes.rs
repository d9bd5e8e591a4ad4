//! The attributes that `send` and `process` spans share, made once for each client.
//!
//! Names are those of OpenTelemetry's semantic conventions for Kafka, v1.44.0; two are our own,
//! because the conventions have none for them.

use opentelemetry::{Context, KeyValue, Value};
use opentelemetry_semantic_conventions::attribute::{
    ERROR_TYPE, MESSAGING_CLIENT_ID, MESSAGING_KAFKA_MESSAGE_KEY,
    MESSAGING_KAFKA_MESSAGE_TOMBSTONE, MESSAGING_SYSTEM, SERVER_ADDRESS, SERVER_PORT,
};
use tracing::Span;
use tracing_opentelemetry::{OpenTelemetrySpanExt, SetParentError};

/// How long a message lay in the queue before it was first processed, in seconds.
pub(crate) const QUEUE_TIME: &str = "orderflow.messaging.queue_time";
/// Which further attempt at a message this is; absent on the first.
pub(crate) const RETRY_COUNT: &str = "orderflow.messaging.retry_count";

/// Kafka's default port, for an address that names none.
const DEFAULT_PORT: i64 = 9092;

/// What is true of every span of one client: the system, the client's id, the first broker.
pub(crate) fn of_client(brokers: &str, client_id: &str) -> Vec<KeyValue> {
    let (address, port) = first_broker(brokers);
    vec![
        KeyValue::new(MESSAGING_SYSTEM, "kafka"),
        KeyValue::new(MESSAGING_CLIENT_ID, client_id.to_owned()),
        KeyValue::new(SERVER_ADDRESS, address.to_owned()),
        KeyValue::new(SERVER_PORT, port),
    ]
}

/// What a message's key and value say of themselves. A key that is no text is left out.
pub(crate) fn set_of_message(span: &Span, key: Option<&[u8]>, payload: Option<&[u8]>) {
    if let Some(key) = key.and_then(|key| std::str::from_utf8(key).ok()) {
        span.set_attribute(MESSAGING_KAFKA_MESSAGE_KEY, key.to_owned());
    }
    if payload.is_none() {
        span.set_attribute(MESSAGING_KAFKA_MESSAGE_TOMBSTONE, true);
    }
}

/// Sets attributes on a span; before its start they are seen by samplers too.
pub(crate) fn set_all(span: &Span, attributes: &[KeyValue]) {
    for attribute in attributes {
        span.set_attribute(attribute.key.clone(), attribute.value.clone());
    }
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
