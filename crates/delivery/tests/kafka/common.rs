//! What the tests share: a broker in this process, and every span that ended.

use std::{
    sync::{Arc, LazyLock, Mutex},
    time::Duration,
};

use delivery::{Consumer, ConsumerBuilder, Error, Handler, Logging, Membership};
use messaging::{FutureRecord, Instrumentation, Message, Producer};
use opentelemetry::{Value, global, trace::TracerProvider as _};
use opentelemetry_sdk::{
    propagation::TraceContextPropagator,
    trace::{InMemorySpanExporter, SdkTracerProvider, SpanData},
};
use rdkafka::{
    ClientConfig, TopicPartitionList,
    consumer::{BaseConsumer, Consumer as _},
    message::OwnedMessage,
    mocking::MockCluster,
    producer::DefaultProducerContext,
};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing_subscriber::prelude::*;

/// All spans of this test program. Each test has a topic of its own and picks by its name.
static SPANS: LazyLock<InMemorySpanExporter> = LazyLock::new(|| {
    let spans = InMemorySpanExporter::default();
    let provider = SdkTracerProvider::builder()
        .with_simple_exporter(spans.clone())
        .build();
    let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("test"));
    tracing_subscriber::registry().with(layer).init();
    global::set_tracer_provider(provider);
    global::set_text_map_propagator(TraceContextPropagator::new());
    spans
});

/// Far more than anything takes: the time is only there so that a failing test ends.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);
/// How long [`Running::stop`] may take. One second less is left for handlers.
pub(crate) const SHUTDOWN: Duration = Duration::from_millis(1_500);
/// A message that does not fit into librdkafka's queue fails at once.
pub(crate) const NOT_WHEN_FULL: Duration = Duration::ZERO;

/// The finished spans of this name, oldest first.
pub(crate) fn spans(name: &str) -> Vec<SpanData> {
    let all = SPANS.get_finished_spans().unwrap();
    all.into_iter().filter(|span| span.name == name).collect()
}

/// An attribute's value, if the span has it.
pub(crate) fn attribute<'a>(span: &'a SpanData, key: &str) -> Option<&'a Value> {
    let found = span
        .attributes
        .iter()
        .find(|attribute| attribute.key.as_str() == key);
    found.map(|attribute| &attribute.value)
}

/// Waits until the condition holds.
pub(crate) async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let waited = tokio::time::timeout(LIMIT, async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    assert!(waited.await.is_ok(), "timed out waiting until {what}");
}

/// librdkafka's in-process cluster, with one topic.
pub(crate) struct Kafka {
    pub(crate) cluster: MockCluster<'static, DefaultProducerContext>,
    pub(crate) topic: &'static str,
}

impl Kafka {
    pub(crate) fn with_topic(topic: &'static str, partitions: i32) -> Self {
        LazyLock::force(&SPANS);
        let cluster = MockCluster::new(1).unwrap();
        cluster.create_topic(topic, partitions, 1).unwrap();
        Self { cluster, topic }
    }

    /// Settings of a client of this cluster.
    pub(crate) fn config(&self, client_id: &str) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", self.cluster.bootstrap_servers())
            .set("client.id", client_id);
        config
    }

    pub(crate) fn producer(&self) -> Producer<Logging> {
        let config = self.config("test-producer");
        delivery::producer(&config, &Instrumentation::new(&config)).unwrap()
    }

    /// A consumer of the topic, as a member of the group `test-group`.
    pub(crate) fn builder(&self, settings: &[(&str, &str)]) -> ConsumerBuilder {
        let mut config = self.config("test-consumer");
        config.set("group.id", "test-group");
        for (name, value) in settings {
            config.set(*name, *value);
        }
        let kafka = Instrumentation::new(&config).with_attribute_prefix("orderflow.messaging");
        Consumer::builder(&config, self.topic)
            .shutdown_timeout(SHUTDOWN)
            .instrumentation(kafka)
    }

    pub(crate) fn consume(&self, handler: impl Handler) -> Running {
        Running::start(self.builder(&[]), handler)
    }

    pub(crate) async fn send(&self, partition: i32, key: &str, payload: &str) {
        let record = FutureRecord::to(self.topic)
            .key(key)
            .payload(payload)
            .partition(partition);
        self.producer().send(record, NOT_WHEN_FULL).await.unwrap();
    }

    /// The offset that the group has committed for a partition of the topic. Blocks the thread.
    pub(crate) fn committed(&self, partition: i32) -> Option<i64> {
        let mut config = self.config("test-reader");
        let consumer: BaseConsumer = config.set("group.id", "test-group").create().unwrap();
        let mut place = TopicPartitionList::new();
        place.add_partition(self.topic, partition);
        let committed = consumer.committed_offsets(place, LIMIT).unwrap();
        let committed = committed.elements()[0].offset().to_raw();
        committed.filter(|offset| *offset >= 0)
    }
}

/// A consumer at work.
pub(crate) struct Running {
    pub(crate) membership: Membership,
    task: JoinHandle<Result<(), Error>>,
    shutdown: CancellationToken,
}

impl Running {
    pub(crate) fn start(builder: ConsumerBuilder, handler: impl Handler) -> Self {
        let consumer = builder.build().unwrap();
        let shutdown = CancellationToken::new();
        Self {
            membership: consumer.membership(),
            task: tokio::spawn(consumer.run(handler, shutdown.clone())),
            shutdown,
        }
    }

    pub(crate) async fn stop(self) {
        self.shutdown.cancel();
        let stopped = tokio::time::timeout(LIMIT, self.task).await;
        stopped.expect("the consumer stops").unwrap().unwrap();
    }

    /// Drops the future of `run`.
    pub(crate) async fn drop_future(self) {
        self.task.abort();
        assert!(self.task.await.unwrap_err().is_cancelled());
    }
}

/// What a handler has seen, shared with the test.
#[derive(Clone, Default)]
pub(crate) struct Seen(Arc<Mutex<Vec<String>>>);

impl Seen {
    pub(crate) fn push(&self, message: &OwnedMessage) {
        self.0.lock().unwrap().push(text(message));
    }

    pub(crate) fn all(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

/// A message's payload as text.
pub(crate) fn text(message: &OwnedMessage) -> String {
    String::from_utf8_lossy(message.payload().unwrap_or_default()).into_owned()
}
