//! The dead letters of `order.created`: reading them, and sending them again.
//!
//! A letter stays where it is; Kafka keeps it until its retention is over. That all letters up to a
//! certain one were sent again is remembered as the offset of a consumer group of our own. To send
//! one twice does no harm, since handling an order twice has no further effect.

use std::{collections::HashSet, time::Duration};

use anyhow::{Context, bail};
use delivery::{
    Logging,
    dead_letter::{self, DeadLetter},
};
use domain::OrderCreated;
use messaging::{Instrumentation, Message, Producer};
use opentelemetry::trace::FutureExt;
use rdkafka::{
    ClientConfig, Offset, TopicPartitionList,
    consumer::{BaseConsumer, CommitMode, Consumer},
    error::KafkaError,
    types::RDKafkaErrorCode,
};

/// The group that remembers what was sent again.
const GROUP: &str = "dead-letter-replay";
/// The topic has one partition.
const PARTITION: i32 = 0;
const TIMEOUT: Duration = Duration::from_secs(10);

/// The topic of the dead letters, at some brokers. Its methods block for as long as Kafka takes, ten
/// seconds at most.
pub struct DeadLetters {
    brokers: String,
    topic: String,
    consumer: BaseConsumer,
}

/// What became of one letter that was to be sent again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Replayed {
    /// It is on its way.
    Sent,
    /// It cannot be: a part of it is missing, or it does not say where it came from.
    Unusable,
}

impl DeadLetters {
    /// The dead letters of `order.created` at these brokers.
    ///
    /// # Errors
    /// The addresses make no sense.
    pub fn at(brokers: &str) -> anyhow::Result<Self> {
        let consumer = ClientConfig::new()
            .set("bootstrap.servers", brokers)
            .set("group.id", GROUP)
            .set("enable.auto.commit", "false")
            .set("enable.partition.eof", "true")
            .set(
                "fetch.message.max.bytes",
                dead_letter::MAX_BYTES.to_string(),
            )
            .create()
            .context("KAFKA_BROKERS makes no sense")?;
        Ok(Self {
            brokers: brokers.to_owned(),
            topic: dead_letter::topic_of(OrderCreated::TOPIC),
            consumer,
        })
    }

    /// All letters that are there, oldest first; of several for the same original the last one.
    ///
    /// # Errors
    /// Kafka does not answer.
    pub fn read(&self) -> anyhow::Result<Vec<DeadLetter>> {
        let mut from = TopicPartitionList::new();
        from.add_partition_offset(&self.topic, PARTITION, Offset::Beginning)?;
        self.consumer.assign(&from)?;
        let mut letters = Vec::new();
        loop {
            match self.consumer.poll(TIMEOUT) {
                Some(Ok(message)) => letters.push(DeadLetter::new(message.detach())),
                Some(Err(KafkaError::PartitionEOF(_))) => break,
                Some(Err(KafkaError::MessageConsumption(
                    RDKafkaErrorCode::UnknownTopicOrPartition,
                ))) => break,
                Some(Err(error)) => return Err(error).context("Kafka does not give them away"),
                None => bail!("Kafka does not answer at {}", self.brokers),
            }
        }
        Ok(last_of_each(letters))
    }

    /// The offset below which all letters have been sent again.
    ///
    /// # Errors
    /// Kafka does not answer.
    pub fn replayed_below(&self) -> anyhow::Result<i64> {
        let mut asked = TopicPartitionList::new();
        asked.add_partition(&self.topic, PARTITION);
        let committed = self.consumer.committed_offsets(asked, TIMEOUT);
        let committed = committed.context("Kafka does not say what was sent again")?;
        let offset = committed.find_partition(&self.topic, PARTITION);
        Ok(match offset.map(|element| element.offset()) {
            Some(Offset::Offset(offset)) => offset,
            _ => 0,
        })
    }

    /// Remembers that all letters below this offset have been sent again.
    ///
    /// # Errors
    /// Kafka does not answer.
    pub fn mark_replayed_below(&self, offset: i64) -> anyhow::Result<()> {
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&self.topic, PARTITION, Offset::Offset(offset))?;
        let committed = self.consumer.commit(&list, CommitMode::Sync);
        committed.context("they were sent, but Kafka did not take note of it")
    }

    /// Sends letters again, each in its own trace, as the original message to its original topic.
    ///
    /// # Errors
    /// Kafka does not take one. Those before it have been sent.
    pub async fn replay(&self, letters: &[DeadLetter]) -> anyhow::Result<Vec<Replayed>> {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &self.brokers)
            .set("client.id", "orderflow");
        let producer = delivery::producer(&config, &Instrumentation::new(&config))?;
        let mut results = Vec::with_capacity(letters.len());
        for letter in letters {
            results.push(replay(&producer, letter).await?);
        }
        Ok(results)
    }
}

async fn replay(producer: &Producer<Logging>, letter: &DeadLetter) -> anyhow::Result<Replayed> {
    let Some((topic, _, _)) = letter.original() else {
        return Ok(Replayed::Unusable);
    };
    let Some(record) = letter.replay(&topic) else {
        return Ok(Replayed::Unusable);
    };
    let sent = producer
        .send(record, TIMEOUT)
        .with_context(letter.context())
        .await;
    sent.context("Kafka did not take a message")?;
    Ok(Replayed::Sent)
}

/// The same message may have been kept twice, by a worker that died before it could say so.
fn last_of_each(mut letters: Vec<DeadLetter>) -> Vec<DeadLetter> {
    let mut seen = HashSet::new();
    letters.reverse();
    letters.retain(|letter| {
        letter
            .original()
            .is_none_or(|original| seen.insert(original))
    });
    letters.reverse();
    letters
}

impl std::fmt::Debug for DeadLetters {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DeadLetters")
            .field("topic", &self.topic)
            .finish_non_exhaustive()
    }
}

/// The key of a letter, which for `order.created` is the order's id.
#[must_use]
pub fn order_of(letter: &DeadLetter) -> Option<&str> {
    std::str::from_utf8(letter.message().key()?).ok()
}
