//! Tells the world of a new order: sends `order.created` once the order is committed.
//!
//! The customer's answer does not wait for Kafka. The send is a task of its own, in the trace of the
//! request; one that fails (no acknowledgement in time, a full queue) is an error on its span and a
//! line in the log, and the order stands all the same.
//!
//! **What this does not do.** Nothing is sent a second time, so an event can be lost: when its send has
//! failed, when the process dies between the commit and the broker's acknowledgement, and when the
//! client goes away in the middle of the commit. Its order then stays pending. To close that gap, the
//! event would have to be stored in the order's own transaction, and be sent from there until it is
//! acknowledged: a transactional outbox.

use std::time::Duration;

use domain::{Order, OrderCreated};
use messaging::{FutureRecord, Producer, ProducerConfig, topics, topics::Topic};
use opentelemetry::context::FutureExt;
use rdkafka::message::{Header, OwnedHeaders};
use tokio::sync::watch;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{error, warn};

/// How long a send may take. Long enough for a partition to change its leader; and what waits takes
/// memory here, and is lost with the process.
pub const SEND_TIMEOUT: Duration = Duration::from_secs(5);

/// Sends events, each in a task of its own. Clones share these tasks.
#[derive(Clone, Debug)]
pub struct Publisher {
    brokers: String,
    producer: Producer,
    broker: watch::Sender<&'static str>,
    sends: TaskTracker,
}

impl Publisher {
    /// Sends to these brokers; a send that takes longer than `timeout` has failed. It connects in the
    /// background: a broker that is away is no error here.
    ///
    /// # Errors
    /// A setting that librdkafka refuses.
    pub fn connect(brokers: String, timeout: Duration) -> Result<Self, messaging::Error> {
        let config = ProducerConfig {
            message_timeout: Some(timeout),
            ..ProducerConfig::new(brokers.as_str(), env!("CARGO_PKG_NAME"))
        };
        Ok(Self {
            brokers,
            producer: Producer::new(&config)?,
            broker: watch::Sender::new("has not answered yet"),
            sends: TaskTracker::new(),
        })
    }

    /// Makes the topic, trying again until it is there or `shutdown` is asked for.
    pub async fn create_topic(self, shutdown: CancellationToken) {
        let topic = Topic::new(OrderCreated::TOPIC, OrderCreated::PARTITIONS);
        topics::create_until_there(&self.brokers, &[topic], &shutdown).await;
        if !shutdown.is_cancelled() {
            self.broker.send_replace("answers");
        }
    }

    /// Begins to send the event of an order that has been committed.
    pub(crate) fn order_created(&self, order: &Order) {
        let send = self.clone().send(OrderCreated::from(order));
        // The task takes the context along, which makes `send` a child of the request's span; but not
        // that `tracing` span itself, which lasts for as long as anything runs inside it, and is to end
        // with the answer.
        self.sends.spawn(send.with_current_context());
    }

    /// What was last seen of the broker, for people.
    pub(crate) fn broker(&self) -> &'static str {
        *self.broker.borrow()
    }

    /// Waits, for so long at most, until all that was begun is sent or has failed.
    pub async fn finish(&self, limit: Duration) {
        self.sends.close();
        let finished = tokio::time::timeout(limit, self.sends.wait()).await;
        if finished.is_err() {
            let count = self.sends.len();
            warn!(
                count,
                "events were not sent before the end; their orders stay pending"
            );
        }
    }

    async fn send(self, event: OrderCreated) {
        let order_id = event.order_id.to_string();
        let json = event.to_json();
        let content_type = Header {
            key: "content-type",
            value: Some("application/json"),
        };
        // What concerns one order has one key, and so stays in order.
        let record = FutureRecord::to(OrderCreated::TOPIC)
            .key(&order_id)
            .payload(&json)
            .headers(OwnedHeaders::new().insert(content_type));
        match self.producer.send(record).await {
            Ok(_) => {
                self.broker.send_replace("answers");
            }
            Err(error) => {
                self.broker.send_replace("did not take the last event");
                error!(%error, order_id, "order.created was not sent; the order stays pending");
            }
        }
    }
}
