//! Step three: a `process` span around the handling of each message.
//!
//! The context that the sender put into the headers becomes the *parent* of the span, so that one trace goes on, and a
//! *link* to it as well: the semantic conventions (v1.44.0) allow the parent for messages that are processed one by
//! one, and ask for the link in any case; viewers draw the edges between services from parents only. A message without
//! a valid context starts a new trace.
//!
//! The handler runs *inside* the span: all that it calls becomes part of the trace.
//!
//! How a message got here, and what becomes of its offset, is up to your consumer.

use std::{
    borrow::Cow,
    fmt::Display,
    future::Future,
    time::{Duration, SystemTime},
};

use opentelemetry::{
    Context, KeyValue,
    baggage::{BaggageExt, KeyValueMetadata},
    context::FutureExt,
    trace::{Link, SpanBuilder, SpanKind, TraceContextExt},
};
use opentelemetry_semantic_conventions::attribute::{
    MESSAGING_BATCH_MESSAGE_COUNT, MESSAGING_DESTINATION_NAME, MESSAGING_DESTINATION_PARTITION_ID,
    MESSAGING_KAFKA_OFFSET,
};
use rdkafka::message::Message;

use crate::{Instrumentation, MessageHeaders, MessageView, carrier, span};

impl Instrumentation {
    /// Calls `handler` with the message, inside a `process` span that continues the sender's trace.
    ///
    /// An error of the handler becomes the span's: its text is the status, the name of its type is `error.type`. For
    /// other values use [`process_span`](Self::process_span). Dropping the future cancels the handler, and the span
    /// ends with the error `cancelled`.
    ///
    /// ```no_run
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// use messaging::Instrumentation;
    /// use rdkafka::{ClientConfig, Message, consumer::{CommitMode, Consumer, StreamConsumer}};
    ///
    /// let mut config = ClientConfig::new();
    /// config.set("bootstrap.servers", "localhost:9092").set("group.id", "readers");
    /// let consumer: StreamConsumer = config.create()?;
    /// let kafka = Instrumentation::new(&config);
    ///
    /// consumer.subscribe(&["greetings"])?;
    /// loop {
    ///     let message = consumer.recv().await?;
    ///     kafka
    ///         .process(&message, async |message| {
    ///             let text = std::str::from_utf8(message.payload().unwrap_or_default())?;
    ///             println!("{text}");
    ///             Ok::<_, std::str::Utf8Error>(())
    ///         })
    ///         .await?;
    ///     consumer.commit_message(&message, CommitMode::Async)?;
    /// }
    /// # }
    /// ```
    ///
    /// # Errors
    /// The handler's.
    pub async fn process<'m, M, H, T, E>(
        &self,
        message: &'m M,
        handler: impl FnOnce(&'m M) -> H,
    ) -> Result<T, E>
    where
        M: Message,
        H: Future<Output = Result<T, E>>,
        E: Display,
    {
        let span = self.process_span(message);
        span.run(async { handler(message).await }).await
    }

    /// Starts the `process` span of a message, for a handler that you call yourself.
    ///
    /// A stream of messages, several at once, each in its span:
    ///
    /// ```no_run
    /// # use std::convert::Infallible;
    /// # async fn handle(_: &rdkafka::message::BorrowedMessage<'_>) -> Result<(), Infallible> { Ok(()) }
    /// # async fn example(consumer: rdkafka::consumer::StreamConsumer, kafka: messaging::Instrumentation) {
    /// use futures_util::{StreamExt, TryStreamExt};
    ///
    /// let messages = consumer.stream();
    /// let handled = messages.try_for_each_concurrent(8, async |message| {
    ///     let span = kafka.process_span(&message);
    ///     if let Err(error) = span.run(handle(&message)).await {
    ///         eprintln!("offset {}: {error}", rdkafka::Message::offset(&message));
    ///     }
    ///     Ok(())
    /// });
    /// handled.await.expect("the consumer goes on");
    /// # }
    /// ```
    pub fn process_span<M: Message>(&self, message: &M) -> ProcessSpan {
        self.retry_span(message, &MessageHeaders::of(message), 0)
    }

    /// The same for the `retries`-th retry of a message, 0 for the first try, with its headers already read. A retry
    /// has the attribute `retry_count`; only a first try has `queue_time`.
    pub fn retry_span<M: Message>(
        &self,
        message: &M,
        headers: &MessageHeaders<'_>,
        retries: u32,
    ) -> ProcessSpan {
        let sender = carrier::extract_from(headers);
        let links = link_to(&sender).into_iter().collect();
        let view = MessageView {
            operation: "process",
            topic: message.topic(),
            key: message.key(),
            payload: message.payload(),
        };
        let mut attributes = self.of_message(&view);
        attributes.extend(self.group());
        // The conventions want the partition as a string and the offset as an integer.
        let partition = message.partition().to_string();
        attributes.push(KeyValue::new(MESSAGING_DESTINATION_PARTITION_ID, partition));
        attributes.push(KeyValue::new(MESSAGING_KAFKA_OFFSET, message.offset()));
        attributes.extend(match retries {
            0 => time_in_queue(message)
                .map(|time| KeyValue::new(self.own("queue_time"), time.as_secs_f64())),
            _ => Some(KeyValue::new(self.own("retry_count"), i64::from(retries))),
        });
        let span = SpanBuilder::from_name(format!("process {}", message.topic()))
            .with_kind(SpanKind::Consumer)
            .with_links(links)
            .with_attributes(attributes);
        ProcessSpan {
            context: self.start(span, &self.parent(sender)),
        }
    }

    /// Calls `handler` with a batch of messages, inside one `process` span.
    ///
    /// The span is a child of the current context and *linked* to the senders of the messages, up to the number of
    /// links that the SDK keeps (128 by default): a span has one parent, and the messages come from many traces.
    ///
    /// # Errors
    /// The handler's.
    pub async fn process_batch<'m, M, H, T, E>(
        &self,
        messages: &'m [M],
        handler: impl FnOnce(&'m [M]) -> H,
    ) -> Result<T, E>
    where
        M: Message,
        H: Future<Output = Result<T, E>>,
        E: Display,
    {
        let links = messages.iter().map(carrier::extract);
        let links = links.filter_map(|sender| link_to(&sender)).collect();
        let mut attributes = self.of_client("process");
        attributes.extend(self.group());
        let count = i64::try_from(messages.len()).unwrap_or(i64::MAX);
        attributes.push(KeyValue::new(MESSAGING_BATCH_MESSAGE_COUNT, count));
        let mut name = "process".to_owned();
        if let Some(topic) = common_topic(messages) {
            name = format!("process {topic}");
            let topic = topic.to_owned();
            attributes.push(KeyValue::new(MESSAGING_DESTINATION_NAME, topic));
        }
        let span = SpanBuilder::from_name(name)
            .with_kind(SpanKind::Consumer)
            .with_links(links)
            .with_attributes(attributes);
        let span = ProcessSpan {
            context: self.start(span, &Context::current()),
        };
        span.run(async { handler(messages).await }).await
    }

    /// What a `process` span continues: the sender's span, or with links only nothing but its baggage.
    fn parent(&self, sender: Context) -> Context {
        if !self.links_only() {
            return sender;
        }
        let entries = sender.baggage().iter();
        Context::new().with_baggage(entries.map(|(key, (value, metadata))| {
            KeyValueMetadata::new(key.clone(), value.clone(), metadata.clone())
        }))
    }
}

/// A `process` span under way. It ends when it is dropped.
///
/// Inside, `opentelemetry::Context::current()` is the span's context. A span of `tracing` made there becomes its child
/// (unless `tracing-opentelemetry`'s `with_context_activation(false)` is set, which breaks this), and so does one of
/// OpenTelemetry's API. `tracing::Span::current()` is *not* this span, which `tracing` does not know: read ids and set
/// attributes through the context. A task that the handler spawns has no context unless it is given one, as in
/// `tokio::spawn(work.with_current_context())`.
#[derive(Debug)]
#[must_use = "the span ends when this is dropped"]
pub struct ProcessSpan {
    context: Context,
}

impl ProcessSpan {
    /// The context in which the span is the current one.
    #[must_use]
    pub fn context(&self) -> &Context {
        &self.context
    }

    /// Runs `handling` inside the span, and records its error as [`Instrumentation::process`] does.
    ///
    /// # Errors
    /// Those of `handling`.
    pub async fn run<T, E: Display>(
        &self,
        handling: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        let result = self.enter(handling).await;
        if let Err(error) = &result {
            self.fail(std::any::type_name::<E>(), error.to_string());
        }
        result
    }

    /// Runs `handling` inside the span. If it is dropped before it is done, or panics, the span says so.
    pub async fn enter<F: Future>(&self, handling: F) -> F::Output {
        let unfinished = Unfinished(&self.context);
        let output = handling.with_context(self.context.clone()).await;
        std::mem::forget(unfinished);
        output
    }

    /// Records that the message could not be handled. `error_type` becomes `error.type`, of which there must be few
    /// values; `description` becomes the span's status and must not contain personal data.
    pub fn fail(
        &self,
        error_type: impl Into<Cow<'static, str>>,
        description: impl Into<Cow<'static, str>>,
    ) {
        span::fail(&self.context, error_type, description);
    }
}

impl Drop for ProcessSpan {
    fn drop(&mut self) {
        // Explicitly, since a task that the handler has spawned may keep the context.
        self.context.span().end();
    }
}

/// Marks the span when a handler does not come to its end.
struct Unfinished<'a>(&'a Context);

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            span::fail(self.0, "panic", "the handler panicked");
        } else {
            span::fail(self.0, span::CANCELLED, "the handler was cancelled");
        }
    }
}

fn link_to(sender: &Context) -> Option<Link> {
    let sender = sender.span().span_context().clone();
    sender.is_valid().then(|| Link::with_context(sender))
}

/// The topic of all messages, if it is the same.
fn common_topic<M: Message>(messages: &[M]) -> Option<&str> {
    let topic = messages.first()?.topic();
    let is_same = |message: &M| message.topic() == topic;
    messages.iter().all(is_same).then_some(topic)
}

/// How long the message has been in the queue. Clocks differ between machines, so a message may seem to come from the
/// future; that counts as no time.
fn time_in_queue(message: &impl Message) -> Option<Duration> {
    let sent = u64::try_from(message.timestamp().to_millis()?).ok()?;
    let sent = SystemTime::UNIX_EPOCH + Duration::from_millis(sent);
    Some(sent.elapsed().unwrap_or_default())
}
