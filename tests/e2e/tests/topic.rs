//! The topic of the orders, for who puts into it what orders itself never would.

use std::time::Duration;

use delivery::dead_letter::DeadLetter;
use messaging::{Message, OwnedMessage};
use orderflow::dead_letters::{DeadLetters, order_of};
use rdkafka::{
    ClientConfig, Offset, TopicPartitionList,
    admin::{AdminClient, AdminOptions, AlterConfig, ResourceSpecifier},
    client::DefaultClientContext,
    consumer::{BaseConsumer, Consumer, StreamConsumer},
    producer::{FutureProducer, FutureRecord},
};
use tokio::task::spawn_blocking;

use crate::support::{LIMIT, REST, eventually, eventually_within};

pub(crate) const TOPIC: &str = "order.created";
pub(crate) const PARTITIONS: i32 = 6;
/// How long Kafka may take for an answer.
const TIMEOUT: Duration = Duration::from_secs(10);

/// `order.created` at some brokers.
#[derive(Clone)]
pub(crate) struct Topic {
    brokers: String,
    producer: FutureProducer,
}

impl Topic {
    pub(crate) fn at(brokers: String) -> Self {
        let producer = ClientConfig::new()
            .set("bootstrap.servers", &brokers)
            // Large zeros are small on their way, and so the broker takes them.
            .set("message.max.bytes", "4000000")
            .set("compression.type", "gzip")
            .create();
        Self {
            brokers,
            producer: producer.expect("a producer"),
        }
    }

    /// All messages, the oldest first, and then those to come.
    pub(crate) fn messages(&self) -> StreamConsumer {
        let consumer: StreamConsumer = self.client("e2e").create().expect("a consumer");
        let mut all = TopicPartitionList::new();
        for partition in 0..PARTITIONS {
            let beginning = all.add_partition_offset(TOPIC, partition, Offset::Beginning);
            beginning.expect("an offset");
        }
        consumer.assign(&all).expect("partitions");
        consumer
    }

    /// The message of an order, once it is there.
    pub(crate) async fn message_of(&self, order: &str) -> OwnedMessage {
        let messages = self.messages();
        let found = async {
            loop {
                let message = messages.recv().await.expect("a message").detach();
                if message.key() == Some(order.as_bytes()) {
                    return message;
                }
            }
        };
        let found = tokio::time::timeout(LIMIT, found).await;
        found.unwrap_or_else(|_| panic!("no message of {order}"))
    }

    /// Sends a message a second time: all of it, its place in the trace included.
    pub(crate) async fn send_again(&self, message: &OwnedMessage) {
        let mut record = FutureRecord::to(TOPIC);
        record.key = message.key();
        record.payload = message.payload();
        record.headers = message.headers().cloned();
        self.send(record).await;
    }

    /// Sends a message as it is.
    pub(crate) async fn send(&self, record: FutureRecord<'_, [u8], [u8]>) {
        let sent = self.producer.send(record, LIMIT).await;
        sent.map_err(|(error, _)| error)
            .expect("a broker that takes it");
    }

    /// Sets the compression of the topic: from now on the broker stores every batch with this codec. `producer` is the
    /// default: batches are stored as they are sent.
    pub(crate) async fn compress(&self, codec: &str) {
        let topic = ResourceSpecifier::Topic(TOPIC);
        let config = [AlterConfig::new(topic).set("compression.type", codec)];
        let admin: AdminClient<DefaultClientContext> =
            self.client("e2e").create().expect("a client");
        let options = AdminOptions::new();
        let altered = admin.alter_configs(&config, &options).await;
        for topic in altered.expect("an answer") {
            topic.expect("a broker that changes the topic");
        }
    }

    /// Waits until the group of the worker has so many messages before it that are not done.
    pub(crate) async fn expect_waiting(&self, count: i64) {
        let waiting = eventually_within(REST, async || {
            let topic = self.clone();
            let found = spawn_blocking(move || topic.not_done()).await;
            let found = found
                .expect("no panic")
                .map_err(|error| error.to_string())?;
            let wrong = format!("{found} messages are not done instead of {count}");
            (found == count).then_some(()).ok_or(wrong)
        });
        waiting.await.unwrap_or_else(|wrong| panic!("{wrong}"));
    }

    fn not_done(&self) -> anyhow::Result<i64> {
        let group: BaseConsumer = self.client("worker").create()?;
        let mut topic = TopicPartitionList::new();
        topic.add_partition_range(TOPIC, 0, PARTITIONS - 1);
        let mut count = 0;
        for partition in group.committed_offsets(topic, TIMEOUT)?.elements() {
            let (first, next) = group.fetch_watermarks(TOPIC, partition.partition(), TIMEOUT)?;
            // Without an offset nothing has been done yet.
            count += next - partition.offset().to_raw().unwrap_or(first).max(first);
        }
        Ok(count)
    }

    fn client(&self, group: &str) -> ClientConfig {
        let mut client = ClientConfig::new();
        client
            .set("bootstrap.servers", &self.brokers)
            .set("group.id", group)
            .set("enable.auto.commit", "false");
        client
    }

    /// All dead letters.
    pub(crate) async fn dead_letters(&self) -> Result<Vec<DeadLetter>, String> {
        let brokers = self.brokers.clone();
        let read = spawn_blocking(move || DeadLetters::at(&brokers)?.read()).await;
        let letters = read.expect("no panic");
        letters.map_err(|error| format!("{error:#}"))
    }

    /// The dead letter of an order, once it is there.
    pub(crate) async fn dead_letter_of(&self, order: &str) -> DeadLetter {
        let found = eventually(async || {
            let letters = self.dead_letters().await?;
            let found = letters.into_iter().find(|one| order_of(one) == Some(order));
            found.ok_or_else(|| format!("there is no dead letter of {order}"))
        });
        found.await.unwrap_or_else(|wrong| panic!("{wrong}"))
    }
}
