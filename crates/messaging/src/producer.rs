//! Step two: a `send` span around each message, its context injected into the headers.
//!
//! The span is of kind PRODUCER. It starts before the message is handed to librdkafka and ends when the broker has
//! acknowledged it, so it shows what sending really took. Its *own* context goes into the headers: the span that
//! processes the message becomes its child.
//!
//! [`Producer::send`] does this around your `FutureProducer`. [`Instrumentation::send_span`] does it for any other
//! client; `Producer::send` itself is made of it.

use opentelemetry::{
    Context, KeyValue,
    trace::{SpanBuilder, SpanKind, TraceContextExt},
};
use opentelemetry_semantic_conventions::attribute::{
    MESSAGING_DESTINATION_PARTITION_ID, MESSAGING_KAFKA_OFFSET,
};
use rdkafka::{
    ClientContext,
    client::DefaultClientContext,
    error::KafkaError,
    message::{OwnedHeaders, ToBytes},
    producer::{FutureProducer, FutureRecord, future_producer::Delivery},
    util::Timeout,
};

use crate::{Error, Instrumentation, MessageView, carrier, error, span};

/// Your `FutureProducer`, with a span around each message. Clones share the client.
pub struct Producer<C: ClientContext + 'static = DefaultClientContext> {
    client: FutureProducer<C>,
    instrumentation: Instrumentation,
}

impl<C: ClientContext + 'static> Producer<C> {
    /// Sends through `client`. Make `instrumentation` from the `ClientConfig` that the client was built from.
    #[must_use]
    pub fn new(client: FutureProducer<C>, instrumentation: Instrumentation) -> Self {
        Self {
            client,
            instrumentation,
        }
    }

    /// Sends one message and waits until the broker has acknowledged it. `queue_timeout` is how long to retry while
    /// librdkafka's queue is full, as in [`FutureProducer::send`].
    ///
    /// The span is a child of the current OpenTelemetry context. The record keeps its headers, except for those that
    /// the propagator writes: a message that is sent on gets the context of this send.
    ///
    /// Dropping the future does not take the message back. Its span then ends with the error `cancelled`.
    ///
    /// # Errors
    /// The queue stays full, or librdkafka or the broker refuses the message or does not acknowledge it in time. The
    /// span has the error; logging it is up to the caller.
    pub async fn send<K, P>(
        &self,
        record: FutureRecord<'_, K, P>,
        queue_timeout: impl Into<Timeout>,
    ) -> Result<Delivery, Error>
    where
        K: ToBytes + ?Sized,
        P: ToBytes + ?Sized,
    {
        self.send_with(record, queue_timeout, []).await
    }

    /// The same, with more attributes on the span: what the sender knows and the message does not say.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub async fn send_with<K, P>(
        &self,
        mut record: FutureRecord<'_, K, P>,
        queue_timeout: impl Into<Timeout>,
        attributes: impl IntoIterator<Item = KeyValue>,
    ) -> Result<Delivery, Error>
    where
        K: ToBytes + ?Sized,
        P: ToBytes + ?Sized,
    {
        let key = record.key.map(ToBytes::to_bytes);
        let payload = record.payload.map(ToBytes::to_bytes);
        let headers = record.headers.get_or_insert_default();
        let span = self
            .instrumentation
            .send_span(record.topic, key, payload, headers);
        for attribute in attributes {
            span.context().span().set_attribute(attribute);
        }
        match self.client.send(record, queue_timeout).await {
            Ok(delivery) => {
                span.acknowledged(delivery.partition, delivery.offset);
                Ok(delivery)
            }
            Err((error, _message)) => {
                span.failed(&error);
                Err(error.into())
            }
        }
    }

    /// The client inside.
    pub fn client(&self) -> &FutureProducer<C> {
        &self.client
    }

    /// What makes the spans.
    #[must_use]
    pub fn instrumentation(&self) -> &Instrumentation {
        &self.instrumentation
    }
}

impl Instrumentation {
    /// Starts the `send` span of a message and injects its context into `headers`, which go out with the message.
    ///
    /// This is [`Producer::send`] for every other client: keep the span until the delivery report is there. With a
    /// `BaseProducer` the span travels as the message's delivery opaque:
    ///
    /// ```
    /// use messaging::{Instrumentation, SendSpan};
    /// use rdkafka::{
    ///     ClientContext, Message,
    ///     message::{DeliveryResult, OwnedHeaders},
    ///     producer::{BaseRecord, ProducerContext, ThreadedProducer},
    /// };
    ///
    /// struct Traced;
    /// impl ClientContext for Traced {}
    /// impl ProducerContext for Traced {
    ///     type DeliveryOpaque = Box<SendSpan>;
    ///
    ///     fn delivery(&self, result: &DeliveryResult<'_>, span: Box<SendSpan>) {
    ///         match result {
    ///             Ok(message) => span.acknowledged(message.partition(), message.offset()),
    ///             Err((error, _)) => span.failed(error),
    ///         }
    ///     }
    /// }
    ///
    /// fn send(producer: &ThreadedProducer<Traced>, kafka: &Instrumentation, payload: &str) {
    ///     let mut headers = OwnedHeaders::new();
    ///     let span = kafka.send_span("greetings", None, Some(payload.as_bytes()), &mut headers);
    ///     let record = BaseRecord::<(), str, _>::with_opaque_to("greetings", Box::new(span))
    ///         .payload(payload)
    ///         .headers(headers);
    ///     if let Err((error, record)) = producer.send(record) {
    ///         record.delivery_opaque.failed(&error);
    ///     }
    /// }
    /// ```
    pub fn send_span(
        &self,
        topic: &str,
        key: Option<&[u8]>,
        payload: Option<&[u8]>,
        headers: &mut OwnedHeaders,
    ) -> SendSpan {
        let message = MessageView {
            operation: "send",
            topic,
            key,
            payload,
        };
        let span = SpanBuilder::from_name(format!("send {topic}"))
            .with_kind(SpanKind::Producer)
            .with_attributes(self.of_message(&message));
        let context = self.start(span, &Context::current());
        carrier::inject(&context, headers);
        SendSpan { context }
    }
}

/// A `send` span under way. Dropped without an outcome it ends with the error `cancelled`.
#[derive(Debug)]
#[must_use = "the span ends, as cancelled, when this is dropped"]
pub struct SendSpan {
    context: Context,
}

impl SendSpan {
    /// The context in which the span is the current one.
    #[must_use]
    pub fn context(&self) -> &Context {
        &self.context
    }

    /// The broker has written the message there.
    pub fn acknowledged(self, partition: i32, offset: i64) {
        let span = self.context.span();
        // The conventions want the partition as a string and the offset as an integer.
        let partition = partition.to_string();
        span.set_attribute(KeyValue::new(MESSAGING_DESTINATION_PARTITION_ID, partition));
        span.set_attribute(KeyValue::new(MESSAGING_KAFKA_OFFSET, offset));
        span.end();
    }

    /// The message was not sent, or the broker has not acknowledged it.
    pub fn failed(self, error: &KafkaError) {
        span::fail(&self.context, error::type_of(error), error.to_string());
        self.context.span().end();
    }
}

impl Drop for SendSpan {
    fn drop(&mut self) {
        // A span that has ended ignores this.
        span::fail(
            &self.context,
            span::CANCELLED,
            "the send was cancelled; the message may still arrive",
        );
        self.context.span().end();
    }
}

// Not derived: a derived `Clone` would ask for `C: Clone`.
impl<C: ClientContext + 'static> Clone for Producer<C> {
    fn clone(&self) -> Self {
        Self::new(self.client.clone(), self.instrumentation.clone())
    }
}

impl<C: ClientContext + 'static> std::fmt::Debug for Producer<C> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut producer = f.debug_struct("Producer");
        producer.field("instrumentation", &self.instrumentation);
        producer.finish_non_exhaustive()
    }
}
