//! Step two: a `send` span around each message, its context injected into the headers.
//!
//! The span is of kind PRODUCER, starts before the message is handed to librdkafka and ends when
//! the broker has acknowledged it, so that it shows what sending really took. Its *own* context
//! goes into the headers: the consumer's span becomes its child.
//!
//! The producer is idempotent and waits for all in-sync replicas. It sends single messages; the
//! conventions' `create` spans, one for each message of a batch call, are not needed here.

use std::{sync::Arc, time::Duration};

use opentelemetry::KeyValue;
use opentelemetry_semantic_conventions::attribute::{
    MESSAGING_CLIENT_ID, MESSAGING_DESTINATION_NAME, MESSAGING_DESTINATION_PARTITION_ID,
    MESSAGING_KAFKA_MESSAGE_KEY, MESSAGING_KAFKA_MESSAGE_TOMBSTONE, MESSAGING_KAFKA_OFFSET,
    MESSAGING_OPERATION_NAME, MESSAGING_OPERATION_TYPE, MESSAGING_SYSTEM, SERVER_ADDRESS,
    SERVER_PORT,
};
use rdkafka::{
    config::FromClientConfigAndContext,
    message::ToBytes,
    producer::{FutureProducer, FutureRecord, Producer as _, PurgeConfig},
    util::Timeout,
};
use tracing::{Span, info_span};
use tracing_opentelemetry::OpenTelemetrySpanExt;

use crate::{Error, attributes, carrier, client};

/// A message that does not fit into librdkafka's queue fails at once, rather than waiting unseen.
const FULL_QUEUE_IS_AN_ERROR: Timeout = Timeout::After(Duration::ZERO);

/// Where to send, and as whom.
#[derive(Debug, Clone)]
pub struct ProducerConfig {
    /// The brokers to start from, `host:port`, separated by commas.
    pub brokers: String,
    /// The name by which brokers and spans know this client.
    pub client_id: String,
    /// After how long a message that no broker acknowledges counts as failed; never without.
    pub message_timeout: Option<Duration>,
    /// The largest message, in bytes; librdkafka's default of 1 MB without.
    pub max_message_bytes: Option<u32>,
}

impl ProducerConfig {
    /// Sends to these brokers as this client; a message fails after 30 seconds.
    pub fn new(brokers: impl Into<String>, client_id: impl Into<String>) -> Self {
        Self {
            brokers: brokers.into(),
            client_id: client_id.into(),
            message_timeout: Some(Duration::from_secs(30)),
            max_message_bytes: None,
        }
    }
}

/// Where a message was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delivery {
    /// The partition.
    pub partition: i32,
    /// The offset in that partition.
    pub offset: i64,
}

/// Sends messages, each in a span of its own. Clones share one connection.
#[derive(Clone)]
pub struct Producer {
    kafka: FutureProducer<client::Logged>,
    client: Arc<attributes::Client>,
}

impl Producer {
    /// Makes a producer. It connects in the background: a broker that is away is no error here.
    ///
    /// # Errors
    /// A setting that librdkafka refuses.
    pub fn new(config: &ProducerConfig) -> Result<Self, Error> {
        let timeout = config
            .message_timeout
            .map_or(0, |timeout| timeout.as_millis());
        let mut settings = client::config(&config.brokers, &config.client_id)
            .set("enable.idempotence", "true")
            .set("acks", "all")
            .set("message.timeout.ms", timeout.to_string())
            .set("linger.ms", "2")
            // Bounds what waits here while the broker is away.
            .set("queue.buffering.max.kbytes", "32768")
            .clone();
        if let Some(bytes) = config.max_message_bytes {
            settings.set("message.max.bytes", bytes.to_string());
        }
        let client = attributes::Client::new(&config.brokers, &config.client_id);
        Ok(Self {
            kafka: FutureProducer::from_config_and_context(&settings, client::Logged)?,
            client: client.into(),
        })
    }

    /// Sends one message and waits for the broker's acknowledgement.
    ///
    /// The span is a child of the current one. Headers that the record has already are kept, but
    /// for those that the propagator writes: a message that is sent on gets the context of this
    /// very send.
    ///
    /// # Errors
    /// No acknowledgement within the configured time, a full queue, a message that the broker
    /// refuses. The span has the error then; to log it is the caller's part.
    pub async fn send<K, P>(&self, record: FutureRecord<'_, K, P>) -> Result<Delivery, Error>
    where
        K: ToBytes + ?Sized,
        P: ToBytes + ?Sized,
    {
        self.send_with(record, &[]).await
    }

    /// The same, with further attributes on the span: what the sender knows and the message does not.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub async fn send_with<K, P>(
        &self,
        mut record: FutureRecord<'_, K, P>,
        attributes: &[KeyValue],
    ) -> Result<Delivery, Error>
    where
        K: ToBytes + ?Sized,
        P: ToBytes + ?Sized,
    {
        let span = self.span(&record);
        for attribute in attributes {
            span.set_attribute(attribute.key.clone(), attribute.value.clone());
        }
        let mut headers = record.headers.take().unwrap_or_default();
        carrier::inject(&span.context(), &mut headers);
        let record = record.headers(headers);
        let result = match self.kafka.send(record, FULL_QUEUE_IS_AN_ERROR).await {
            Ok(sent) => Ok(Delivery {
                partition: sent.partition,
                offset: sent.offset,
            }),
            Err((error, _message)) => Err(Error::from(error)),
        };
        record_result(&span, &result);
        result
    }

    /// Forgets the messages that no broker has acknowledged; their sends fail. Some may have arrived.
    pub fn purge(&self) {
        self.kafka.purge(PurgeConfig::default().queue().inflight());
    }

    fn span<K, P>(&self, record: &FutureRecord<'_, K, P>) -> Span
    where
        K: ToBytes + ?Sized,
        P: ToBytes + ?Sized,
    {
        let payload = record.payload.map(ToBytes::to_bytes);
        info_span!(
            "send",
            otel.name = format!("send {}", record.topic),
            otel.kind = "producer",
            { MESSAGING_SYSTEM } = "kafka",
            { MESSAGING_OPERATION_NAME } = "send",
            { MESSAGING_OPERATION_TYPE } = "send",
            { MESSAGING_CLIENT_ID } = self.client.id,
            { SERVER_ADDRESS } = self.client.address,
            { SERVER_PORT } = self.client.port,
            { MESSAGING_DESTINATION_NAME } = record.topic,
            { MESSAGING_KAFKA_MESSAGE_KEY } = attributes::text(record.key.map(ToBytes::to_bytes)),
            { MESSAGING_KAFKA_MESSAGE_TOMBSTONE } = attributes::tombstone(payload),
        )
    }
}

fn record_result(span: &Span, result: &Result<Delivery, Error>) {
    match result {
        Ok(delivery) => {
            // The conventions want the partition as a string, the offset as an integer.
            let partition = delivery.partition.to_string();
            span.set_attribute(MESSAGING_DESTINATION_PARTITION_ID, partition);
            span.set_attribute(MESSAGING_KAFKA_OFFSET, delivery.offset);
        }
        Err(error) => attributes::set_error(span, error.error_type(), error.to_string()),
    }
}

impl std::fmt::Debug for Producer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Producer").finish_non_exhaustive()
    }
}
