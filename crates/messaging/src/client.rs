//! librdkafka's own voice, in our log.
//!
//! librdkafka reconnects by itself for as long as it takes and reports every failed try as an
//! error. To us a broker that is away is a state, not an error: it is waited out. So these lines
//! are warnings at most.

use rdkafka::{ClientConfig, ClientContext, config::RDKafkaLogLevel, error::KafkaError};
use tracing::{debug, info, warn};

/// The settings that every client of ours has.
pub(crate) fn config(brokers: &str, client_id: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", brokers)
        .set("client.id", client_id)
        // Idle connections are closed by the broker after a while; that is no news.
        .set("log.connection.close", "false")
        .set("reconnect.backoff.max.ms", "1000");
    config
}

/// Writes librdkafka's log lines and errors through `tracing`.
#[derive(Debug, Clone, Default)]
pub(crate) struct Logged;

impl ClientContext for Logged {
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
