//! librdkafka's log lines and errors, written through `tracing`.
//!
//! librdkafka reconnects by itself for as long as it takes, and reports every failed try as an error. For a consumer
//! that waits for its broker, a broker that is down is a state and not an error, so these lines are warnings at most.

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
