//! Step three: a `process` span around the handling of each message.
//!
//! The context that the producer put into the headers becomes the *parent* of the span, so that
//! one trace goes on, and a *link* to it as well: the semantic conventions (v1.44.0) allow the
//! parent for messages processed one by one and want the link in any case, and viewers draw the
//! edges between services from parents only. A message without a valid context starts a new trace.
//!
//! The handler runs *inside* the span: whatever it calls becomes part of the trace by itself.
//!
//! How messages get here, many at once and in order by key, and what becomes of their offsets, is
//! the business of `delivery`.

use std::{
    future::Future,
    panic::AssertUnwindSafe,
    time::{Duration, SystemTime},
};

use futures_util::FutureExt;

use opentelemetry::{Context, trace::TraceContextExt};
use opentelemetry_semantic_conventions::attribute::{
    MESSAGING_CLIENT_ID, MESSAGING_CONSUMER_GROUP_NAME, MESSAGING_DESTINATION_NAME,
    MESSAGING_DESTINATION_PARTITION_ID, MESSAGING_KAFKA_MESSAGE_KEY,
    MESSAGING_KAFKA_MESSAGE_TOMBSTONE, MESSAGING_KAFKA_OFFSET, MESSAGING_OPERATION_NAME,
    MESSAGING_OPERATION_TYPE, MESSAGING_SYSTEM, SERVER_ADDRESS, SERVER_PORT,
};
use rdkafka::message::{Message, OwnedMessage};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, Span, info_span};
use tracing_opentelemetry::OpenTelemetrySpanExt;

use crate::{Error, attributes, carrier, delivery};

pub use crate::delivery::Membership;

/// What is to be done with each message.
pub trait Handler: Send + Sync + 'static {
    /// Handles one message. It runs inside the message's `process` span.
    ///
    /// The same message may come more than once: after a crash, after a rebalance, after a failure.
    /// Handling it again must have no further effect.
    fn handle(&self, message: &OwnedMessage) -> impl Future<Output = Result<(), Failure>> + Send;
}

/// Why a message could not be handled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{description}")]
pub struct Failure {
    /// What may be done about it.
    pub class: FailureClass,
    /// A name of low cardinality for `error.type`: a status code, a kind of error.
    pub error_type: String,
    /// What happened, for people. No customer data: it becomes the span's status.
    pub description: String,
}

impl Failure {
    /// A handler that panics has failed; the message and the others go their way.
    fn panicked() -> Self {
        Self {
            class: FailureClass::Failed,
            error_type: "panic".to_owned(),
            description: "the handler panicked".to_owned(),
        }
    }
}

/// What may be done about a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureClass {
    /// This message can never be handled: it makes no sense, or somebody refused it for good.
    Permanent,
    /// Somebody who is there failed. It may work another time, or not.
    Failed,
    /// Nobody answered, or asked for patience. It will work once they are back.
    Unavailable,
}

/// What to consume, and as whom.
#[derive(Debug, Clone)]
pub struct ConsumerConfig {
    /// The brokers to start from, `host:port`, separated by commas.
    pub brokers: String,
    /// The name by which brokers and spans know this client.
    pub client_id: String,
    /// The consumer group, whose members share the topic's partitions.
    pub group: String,
    /// The topic.
    pub topic: String,
    /// How many messages are handled at once, at most.
    pub concurrency: usize,
    /// How long the end of the program waits for messages that are being handled.
    pub drain: Duration,
}

impl ConsumerConfig {
    /// Consumes the topic as a member of the group, whose name is the client's id too: up to 256
    /// messages at once, and eight seconds for what is in hand at the end.
    pub fn new(
        brokers: impl Into<String>,
        group: impl Into<String>,
        topic: impl Into<String>,
    ) -> Self {
        let group = group.into();
        Self {
            brokers: brokers.into(),
            client_id: group.clone(),
            group,
            topic: topic.into(),
            concurrency: 256,
            drain: Duration::from_secs(8),
        }
    }
}

/// Takes the messages of one topic and has each handled in a span of its own.
#[derive(Debug)]
pub struct Consumer {
    spans: ProcessSpans,
    delivery: delivery::Delivery,
}

impl Consumer {
    /// Makes a consumer. It joins its group when it is [run](Self::run).
    ///
    /// # Errors
    /// A setting that librdkafka refuses.
    pub fn new(config: &ConsumerConfig) -> Result<Self, Error> {
        Ok(Self {
            spans: ProcessSpans::new(config),
            delivery: delivery::Delivery::new(config)?,
        })
    }

    /// Says, now and later, whether the group has given this consumer its partitions.
    #[must_use]
    pub fn membership(&self) -> Membership {
        self.delivery.membership()
    }

    /// Has messages handled, each until that succeeds or it is kept as a dead letter, until `shutdown` is asked for; then finishes what is being handled, in
    /// the time configured, and leaves the group.
    ///
    /// # Errors
    /// librdkafka cannot go on: the program should end and be started anew.
    pub async fn run<H: Handler>(
        self,
        handler: H,
        shutdown: CancellationToken,
    ) -> Result<(), Error> {
        let attempt = Attempt {
            spans: self.spans,
            handler,
        };
        self.delivery.run(attempt, shutdown).await
    }
}

/// One message, handled once, in one `process` span.
#[derive(Debug)]
pub(crate) struct Attempt<H> {
    spans: ProcessSpans,
    handler: H,
}

impl<H: Handler> Attempt<H> {
    /// Has the handler try once more, after so many earlier attempts. A failure comes with the
    /// context of its span, for what is done about it.
    pub(crate) async fn process(
        &self,
        message: &OwnedMessage,
        earlier: u32,
    ) -> Result<(), (Failure, Context)> {
        let span = self.spans.start(message, earlier);
        let handled = AssertUnwindSafe(self.handler.handle(message)).catch_unwind();
        let result = handled.instrument(span.clone()).await;
        let result = result.unwrap_or_else(|_panic| Err(Failure::panicked()));
        result.map_err(|failure| {
            attributes::set_error(&span, failure.error_type.clone(), failure.to_string());
            (failure, span.context())
        })
    }
}

/// Makes `process` spans; knows what they have in common.
#[derive(Debug)]
struct ProcessSpans {
    name: String,
    client: attributes::Client,
    topic: String,
    group: String,
}

impl ProcessSpans {
    fn new(config: &ConsumerConfig) -> Self {
        Self {
            name: format!("process {}", config.topic),
            client: attributes::Client::new(&config.brokers, &config.client_id),
            topic: config.topic.clone(),
            group: config.group.clone(),
        }
    }

    fn start(&self, message: &OwnedMessage, earlier: u32) -> Span {
        let span = info_span!(
            "process",
            otel.name = self.name,
            otel.kind = "consumer",
            { MESSAGING_SYSTEM } = "kafka",
            { MESSAGING_OPERATION_NAME } = "process",
            { MESSAGING_OPERATION_TYPE } = "process",
            { MESSAGING_CLIENT_ID } = self.client.id,
            { SERVER_ADDRESS } = self.client.address,
            { SERVER_PORT } = self.client.port,
            { MESSAGING_DESTINATION_NAME } = self.topic,
            { MESSAGING_CONSUMER_GROUP_NAME } = self.group,
            // The conventions want the partition as a string, the offset as an integer.
            { MESSAGING_DESTINATION_PARTITION_ID } = message.partition().to_string(),
            { MESSAGING_KAFKA_OFFSET } = message.offset(),
            { MESSAGING_KAFKA_MESSAGE_KEY } = attributes::text(message.key()),
            { MESSAGING_KAFKA_MESSAGE_TOMBSTONE } = attributes::tombstone(message.payload()),
            { attributes::RETRY_COUNT } = (earlier > 0).then_some(i64::from(earlier)),
            { attributes::QUEUE_TIME } = seconds_in_queue(message).filter(|_| earlier == 0),
        );
        // Before the span has started, which it does when it is entered: later is too late for a parent.
        let producer = carrier::extract(message);
        span.add_link(producer.span().span_context().clone());
        attributes::set_parent(&span, producer);
        span
    }
}

/// How long the message has lain in the queue. Clocks differ between machines, so that a message
/// may seem to come from the future: that is no time at all.
fn seconds_in_queue(message: &OwnedMessage) -> Option<f64> {
    let sent = message.timestamp().to_millis()?;
    let now = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .ok()?;
    let waited = now.as_secs_f64() - sent as f64 / 1_000.0;
    Some(waited.max(0.0))
}
