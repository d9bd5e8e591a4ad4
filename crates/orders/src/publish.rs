//! Publishes `order.created` through the outbox: the event is a row of the order's transaction.
//!
//! So no order is without its event and no event without its order, and a request never waits for Kafka. How the event
//! gets from the row to Kafka, and in which trace, is the business of the crate `outbox`.

use std::time::Duration;

use delivery::topics::{self, Topic};
use domain::{Order, OrderCreated, attributes};
use messaging::Instrumentation;
use outbox::{Outbox, OutboxMessage, Relay, RelayStatus};
use rdkafka::ClientConfig;
use sqlx::PgConnection;
use telemetry::sql::{Database, Statement};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// How long to wait for events in flight at shutdown. The others stay in the outbox.
const LAST_EVENTS: Duration = Duration::from_secs(2);

/// Publishes events through the outbox. Clones share the outbox.
#[derive(Clone)]
pub struct Publisher {
    kafka: ClientConfig,
    spans: Instrumentation,
    outbox: Outbox,
    topic_is_there: watch::Sender<bool>,
}

impl Publisher {
    /// A publisher to the brokers of these settings. Nothing is sent before [`run`](Self::run) is called.
    #[must_use]
    pub fn new(kafka: ClientConfig, spans: Instrumentation) -> Self {
        Self {
            kafka,
            spans: spans.with_attribute_prefix(attributes::MESSAGING),
            outbox: Outbox::in_schema("orders"),
            topic_is_there: watch::Sender::new(false),
        }
    }

    /// Creates the topic and relays the outbox until `shutdown` is cancelled.
    ///
    /// # Errors
    /// librdkafka refuses a setting.
    pub async fn run(
        self,
        database: Database,
        shutdown: CancellationToken,
    ) -> Result<(), outbox::Error> {
        let config = producer_settings(&self.kafka);
        let spans = self.spans.clone();
        let make_producer = move || delivery::producer(&config, &spans);
        let options = database.pool().connect_options();
        let relay = Relay::new(self.outbox.clone(), (*options).clone(), make_producer)
            .with_wait_time_attribute(attributes::OUTBOX_WAIT_TIME);
        let create = async {
            self.create_topic(&shutdown).await;
            Ok(())
        };
        tokio::try_join!(create, relay.run(shutdown.clone(), LAST_EVENTS))?;
        Ok(())
    }

    /// Appends the event of an order, in the order's transaction.
    pub(crate) async fn order_created(
        &self,
        db: &Database,
        transaction: &mut PgConnection,
        order: &Order,
    ) -> sqlx::Result<()> {
        // All messages about one order have one key, so they stay in order.
        let key = order.id.to_string();
        let payload = OrderCreated::from(order).to_json();
        let message = OutboxMessage::new(OrderCreated::TOPIC, &key, &payload)
            .with_content_type("application/json");
        let statement = Statement {
            summary: "INSERT orders.outbox",
            text: self.outbox.insert_sql(),
        };
        db.run(&statement, self.outbox.append(transaction, message))
            .await
    }

    /// Wakes the relay after an order's transaction was committed.
    pub(crate) fn committed(&self) {
        self.outbox.committed();
    }

    /// The state of the broker, for people.
    pub(crate) fn broker(&self) -> &'static str {
        if *self.topic_is_there.borrow() {
            "the topic is there"
        } else {
            "has not answered yet"
        }
    }

    /// What the relay of this process does.
    pub(crate) fn relay(&self) -> RelayStatus {
        self.outbox.relay_status()
    }

    async fn create_topic(&self, shutdown: &CancellationToken) {
        let topic = Topic::new(OrderCreated::TOPIC, OrderCreated::PARTITIONS);
        topics::create_until_there(&self.kafka, &[topic], shutdown).await;
        self.topic_is_there.send_replace(!shutdown.is_cancelled());
    }
}

/// Unless configured otherwise, a message waits for the broker without limit: one that times out would only be read from
/// its row again, with one more failed `send` span in the order's trace.
fn producer_settings(kafka: &ClientConfig) -> ClientConfig {
    let mut config = kafka.clone();
    let names = ["message.timeout.ms", "delivery.timeout.ms"];
    if names.iter().all(|name| config.get(name).is_none()) {
        config.set(names[0], "0");
    }
    config
}

impl std::fmt::Debug for Publisher {
    // Without the Kafka settings: one of them may be a password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut publisher = f.debug_struct("Publisher");
        publisher.field("outbox", &self.outbox);
        publisher.finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configured_timeout_wins() {
        for (name, expected) in [
            ("client.id", Some("0")),
            ("message.timeout.ms", Some("7")),
            ("delivery.timeout.ms", None),
        ] {
            let mut kafka = ClientConfig::new();
            kafka.set(name, "7");
            let config = producer_settings(&kafka);
            assert_eq!(config.get("message.timeout.ms"), expected, "{name}");
        }
    }
}
