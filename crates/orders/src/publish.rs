//! Tells the world of a new order: `order.created` goes into the outbox, in the order's transaction.
//!
//! So there is no order without its event and no event without its order, whatever dies in between,
//! and the customer's answer never waits for Kafka. How the event gets from there to Kafka, and in
//! which trace, is the outbox's business.

use std::time::Duration;

use domain::{Order, OrderCreated};
use messaging::{Producer, ProducerConfig, topics, topics::Topic};
use outbox::{Outbox, OutboxMessage, Relay};
use sqlx::PgConnection;
use telemetry::sql::Database;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// How long the end waits for events that are on their way. The rest stays in the outbox.
const LAST_EVENTS: Duration = Duration::from_secs(2);

/// Publishes events through the outbox. Clones are the same.
#[derive(Clone, Debug)]
pub struct Publisher {
    brokers: String,
    outbox: Outbox,
    topic_is_there: watch::Sender<bool>,
}

impl Publisher {
    /// Publishes to these brokers, once it is [run](Self::run).
    #[must_use]
    pub fn new(brokers: String) -> Self {
        Self {
            brokers,
            outbox: Outbox::in_schema("orders"),
            topic_is_there: watch::Sender::new(false),
        }
    }

    /// Makes the topic and relays the outbox, until `shutdown` is asked for.
    ///
    /// # Errors
    /// A setting that librdkafka refuses.
    pub async fn run(
        self,
        database: Database,
        shutdown: CancellationToken,
    ) -> Result<(), messaging::Error> {
        let mut config = ProducerConfig::new(self.brokers.as_str(), env!("CARGO_PKG_NAME"));
        // A broker that is away is waited for: what is not sent stays a row in any case.
        config.message_timeout = None;
        let relay = Relay::new(self.outbox.clone(), database, Producer::new(&config)?);
        tokio::join!(
            self.create_topic(&shutdown),
            relay.run(shutdown.clone(), LAST_EVENTS)
        );
        Ok(())
    }

    /// Appends the event of an order, in the order's transaction.
    pub(crate) async fn order_created(
        &self,
        db: &Database,
        transaction: &mut PgConnection,
        order: &Order,
    ) -> sqlx::Result<()> {
        let message = OutboxMessage {
            topic: OrderCreated::TOPIC,
            // What concerns one order has one key, and so stays in order.
            key: &order.id.to_string(),
            payload: &OrderCreated::from(order).to_json(),
            content_type: "application/json",
        };
        self.outbox.append(db, transaction, message).await
    }

    /// The transaction of an order has been committed.
    pub(crate) fn committed(&self) {
        self.outbox.committed();
    }

    /// What is known of the broker, for people.
    pub(crate) fn broker(&self) -> &'static str {
        if *self.topic_is_there.borrow() {
            "the topic is there"
        } else {
            "has not answered yet"
        }
    }

    async fn create_topic(&self, shutdown: &CancellationToken) {
        let topic = Topic::new(OrderCreated::TOPIC, OrderCreated::PARTITIONS);
        topics::create_until_there(&self.brokers, &[topic], shutdown).await;
        self.topic_is_there.send_replace(!shutdown.is_cancelled());
    }
}
