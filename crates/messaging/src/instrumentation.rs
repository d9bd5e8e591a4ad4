//! What the spans of one Kafka client have in common, prepared once.
//!
//! rdkafka does not say which brokers, client id or consumer group a client that was built already has. An
//! [`Instrumentation`] therefore reads them from the same `ClientConfig`. Attribute names are those of OpenTelemetry's
//! semantic conventions for Kafka, v1.44.0 (status: Development).

use std::{
    fmt,
    sync::{Arc, OnceLock},
};

use opentelemetry::{
    Context, InstrumentationScope, Key, KeyValue,
    global::{self, BoxedTracer},
    trace::{SpanBuilder, TraceContextExt, Tracer, TracerProvider, noop::NoopTracer},
};
use opentelemetry_semantic_conventions::{
    SCHEMA_URL,
    attribute::{
        MESSAGING_CLIENT_ID, MESSAGING_CONSUMER_GROUP_NAME, MESSAGING_DESTINATION_NAME,
        MESSAGING_KAFKA_MESSAGE_KEY, MESSAGING_KAFKA_MESSAGE_TOMBSTONE, MESSAGING_OPERATION_NAME,
        MESSAGING_OPERATION_TYPE, MESSAGING_SYSTEM, SERVER_ADDRESS, SERVER_PORT,
    },
};
use rdkafka::ClientConfig;

/// Kafka's default port, for an address that has none.
const DEFAULT_PORT: i64 = 9092;

/// Makes the spans of one client. Clones share everything and are cheap.
///
/// The default value knows nothing of the client: its spans have no `messaging.client.id`, `server.*` and
/// `messaging.consumer.group.name`.
#[derive(Clone, Default)]
pub struct Instrumentation(Arc<Settings>);

#[derive(Clone)]
struct Settings {
    /// The global provider's tracer is looked up at the first span.
    tracer: OnceLock<Arc<BoxedTracer>>,
    client: Vec<KeyValue>,
    group: Option<KeyValue>,
    prefix: &'static str,
    records_key: bool,
    links_only: bool,
    more_attributes: Option<MoreAttributes>,
}

type MoreAttributes = Arc<dyn Fn(&MessageView<'_>) -> Vec<KeyValue> + Send + Sync>;

/// What a hook for [more attributes](Instrumentation::with_attributes) sees of a message.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct MessageView<'a> {
    /// `send` or `process`.
    pub operation: &'static str,
    /// The topic.
    pub topic: &'a str,
    /// The key; `None` if the message has none.
    pub key: Option<&'a [u8]>,
    /// The value; `None` for a tombstone.
    pub payload: Option<&'a [u8]>,
}

impl Instrumentation {
    /// Describes the client that is built from `config`.
    #[must_use]
    pub fn new(config: &ClientConfig) -> Self {
        let get = |name| config.get(name).filter(|value| !value.is_empty());
        let attribute =
            |name, value| get(value).map(|value| KeyValue::new(name, Arc::<str>::from(value)));
        let mut client: Vec<_> = attribute(MESSAGING_CLIENT_ID, "client.id")
            .into_iter()
            .collect();
        if let Some(brokers) = get("bootstrap.servers").or_else(|| get("metadata.broker.list")) {
            let (address, port) = first_broker(brokers);
            client.push(KeyValue::new(SERVER_ADDRESS, Arc::<str>::from(address)));
            client.push(KeyValue::new(SERVER_PORT, port));
        }
        Self::default().with(|settings| {
            settings.client = client;
            settings.group = attribute(MESSAGING_CONSUMER_GROUP_NAME, "group.id");
        })
    }

    /// Makes spans with this provider, and not with the global one, which is looked up when the first span starts: a
    /// global provider that is set later stays unused.
    #[must_use]
    pub fn with_tracer_provider<P>(self, provider: &P) -> Self
    where
        P: TracerProvider,
        P::Tracer: Tracer<Span: Send + Sync + 'static> + Send + Sync + 'static,
    {
        let tracer = BoxedTracer::new(Box::new(provider.tracer_with_scope(scope())));
        self.with(|settings| settings.tracer = Arc::new(tracer).into())
    }

    /// Makes no spans. The caller's context still travels in the headers, and a handler still runs in the context
    /// that its message carries.
    #[must_use]
    pub fn without_traces(self) -> Self {
        let tracer = BoxedTracer::new(Box::new(NoopTracer::new()));
        self.with(|settings| settings.tracer = Arc::new(tracer).into())
    }

    /// Starts a new trace for each message that is processed, which is only *linked* to the span that sent it. By
    /// default that span is the parent and is linked to as well. Baggage is kept in both cases.
    #[must_use]
    pub fn with_links_only(self) -> Self {
        self.with(|settings| settings.links_only = true)
    }

    /// Leaves `messaging.kafka.message.key` out of all spans, for systems whose keys are personal data.
    #[must_use]
    pub fn without_keys(self) -> Self {
        self.with(|settings| settings.records_key = false)
    }

    /// Sets the prefix of the attributes for which the conventions have no name: `PREFIX.queue_time` and
    /// `PREFIX.retry_count`. The default is `rdkafka`.
    #[must_use]
    pub fn with_attribute_prefix(self, prefix: &'static str) -> Self {
        self.with(|settings| settings.prefix = prefix)
    }

    /// Adds what `attributes` returns for a message to the span of that message.
    #[must_use]
    pub fn with_attributes(
        self,
        attributes: impl Fn(&MessageView<'_>) -> Vec<KeyValue> + Send + Sync + 'static,
    ) -> Self {
        self.with(|settings| settings.more_attributes = Some(Arc::new(attributes)))
    }

    fn with(mut self, change: impl FnOnce(&mut Settings)) -> Self {
        change(Arc::make_mut(&mut self.0));
        self
    }

    pub(crate) fn links_only(&self) -> bool {
        self.0.links_only
    }

    /// The consumer group, as an attribute.
    pub(crate) fn group(&self) -> Option<KeyValue> {
        self.0.group.clone()
    }

    /// The full name of an attribute of our own.
    pub(crate) fn own(&self, name: &str) -> Key {
        Key::new(format!("{}.{name}", self.0.prefix))
    }

    /// Starts a span under `parent`; returns the context in which it is the current span.
    pub(crate) fn start(&self, span: SpanBuilder, parent: &Context) -> Context {
        let global = || Arc::new(global::tracer_with_scope(scope()));
        let tracer = self.0.tracer.get_or_init(global);
        parent.with_span(tracer.build_with_context(span, parent))
    }

    /// What every span of this client says, whatever the message is.
    pub(crate) fn of_client(&self, operation: &'static str) -> Vec<KeyValue> {
        let mut attributes = Vec::with_capacity(16);
        attributes.extend([
            KeyValue::new(MESSAGING_SYSTEM, "kafka"),
            KeyValue::new(MESSAGING_OPERATION_NAME, operation),
            // For both operations the conventions' type has the same word.
            KeyValue::new(MESSAGING_OPERATION_TYPE, operation),
        ]);
        attributes.extend_from_slice(&self.0.client);
        attributes
    }

    /// What the span of one message says.
    pub(crate) fn of_message(&self, message: &MessageView<'_>) -> Vec<KeyValue> {
        let mut attributes = self.of_client(message.operation);
        let topic = message.topic.to_owned();
        attributes.push(KeyValue::new(MESSAGING_DESTINATION_NAME, topic));
        let key = message.key.filter(|_| self.0.records_key);
        // A key that is not text is left out.
        if let Some(key) = key.and_then(|key| std::str::from_utf8(key).ok()) {
            let key = key.to_owned();
            attributes.push(KeyValue::new(MESSAGING_KAFKA_MESSAGE_KEY, key));
        }
        if message.payload.is_none() {
            attributes.push(KeyValue::new(MESSAGING_KAFKA_MESSAGE_TOMBSTONE, true));
        }
        if let Some(more) = &self.0.more_attributes {
            attributes.extend(more(message));
        }
        attributes
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            tracer: OnceLock::new(),
            client: Vec::new(),
            group: None,
            prefix: "rdkafka",
            records_key: true,
            links_only: false,
            more_attributes: None,
        }
    }
}

impl fmt::Debug for Instrumentation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Instrumentation")
            .field("client", &self.0.client)
            .field("group", &self.0.group)
            .finish_non_exhaustive()
    }
}

fn scope() -> InstrumentationScope {
    InstrumentationScope::builder(env!("CARGO_PKG_NAME"))
        .with_version(env!("CARGO_PKG_VERSION"))
        .with_schema_url(SCHEMA_URL)
        .build()
}

/// Host and port of the first broker in a bootstrap list: `host:port`, separated by commas, each with a protocol
/// (`SSL://`) before it or without.
fn first_broker(brokers: &str) -> (&str, i64) {
    let first = brokers.split(',').next().unwrap_or_default().trim();
    let first = first.split_once("://").map_or(first, |(_, rest)| rest);
    let host_and_port = first.rsplit_once(':');
    let parsed = host_and_port.and_then(|(host, port)| Some((host, port.parse().ok()?)));
    let (host, port) = parsed.unwrap_or((first, DEFAULT_PORT));
    (host.trim_matches(['[', ']']), port)
}

#[cfg(test)]
mod tests {
    use super::first_broker;

    #[test]
    fn first_broker_of_a_bootstrap_list() {
        for (brokers, expected) in [
            ("localhost:9094", ("localhost", 9094)),
            ("a:1,b:2", ("a", 1)),
            (" a:1 , b:2", ("a", 1)),
            ("kafka", ("kafka", 9092)),
            ("PLAINTEXT://kafka:9093", ("kafka", 9093)),
            ("[::1]:9094", ("::1", 9094)),
            ("[::1]", ("::1", 9092)),
            ("", ("", 9092)),
        ] {
            assert_eq!(first_broker(brokers), expected, "{brokers:?}");
        }
    }
}
