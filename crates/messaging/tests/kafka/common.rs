//! What the tests share: a broker in this process, clients of a user's own, and every span that ended.

use std::time::Duration;

use messaging::{Instrumentation, Producer};
use opentelemetry::propagation::TextMapCompositePropagator;
use opentelemetry::{Value, global};
use opentelemetry_sdk::{
    propagation::{BaggagePropagator, TraceContextPropagator},
    trace::{InMemorySpanExporter, SdkTracerProvider, SpanData},
};
use rdkafka::{
    ClientConfig, ClientContext, Offset, TopicPartitionList,
    config::FromClientConfigAndContext,
    consumer::{Consumer, ConsumerContext, StreamConsumer},
    message::{BorrowedMessage, Header, OwnedHeaders},
    mocking::MockCluster,
    producer::{BaseProducer, BaseRecord, DefaultProducerContext, FutureProducer, Producer as _},
};

/// A message that does not fit into librdkafka's queue fails at once.
pub(crate) const NOT_WHEN_FULL: Duration = Duration::ZERO;
/// Ends a test that fails; no test waits this long otherwise.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);
/// The trace of a sender that is not one of ours.
pub(crate) const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

/// The context of a user's clients: a type that this crate has never heard of.
#[derive(Debug, Clone)]
pub(crate) struct Yours;

impl ClientContext for Yours {}
impl ConsumerContext for Yours {}

/// Sets the global propagators; every test sets the same.
pub(crate) fn set_propagators() {
    global::set_text_map_propagator(TextMapCompositePropagator::new(vec![
        Box::new(TraceContextPropagator::new()),
        Box::new(BaggagePropagator::new()),
    ]));
}

/// A cluster with one topic, a tracer provider of this test alone, and what it exported.
pub(crate) struct Kafka {
    pub(crate) cluster: MockCluster<'static, DefaultProducerContext>,
    pub(crate) topic: &'static str,
    pub(crate) provider: SdkTracerProvider,
    exported: InMemorySpanExporter,
}

impl Kafka {
    pub(crate) fn with_topic(topic: &'static str) -> Self {
        set_propagators();
        let cluster = MockCluster::new(1).unwrap();
        cluster.create_topic(topic, 1, 1).unwrap();
        let exported = InMemorySpanExporter::default();
        let provider = SdkTracerProvider::builder()
            .with_simple_exporter(exported.clone())
            .build();
        Self {
            cluster,
            topic,
            provider,
            exported,
        }
    }

    pub(crate) fn config(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", self.cluster.bootstrap_servers())
            .set("client.id", "test-client")
            .set("group.id", "test-group");
        config
    }

    pub(crate) fn instrumentation(&self) -> Instrumentation {
        Instrumentation::new(&self.config()).with_tracer_provider(&self.provider)
    }

    pub(crate) fn producer(&self) -> Producer<Yours> {
        let client: FutureProducer<Yours> = self.config().create_with_context(Yours).unwrap();
        Producer::new(client, self.instrumentation())
    }

    /// A consumer at the first message of the topic.
    pub(crate) fn consumer(&self) -> StreamConsumer<Yours> {
        let consumer = StreamConsumer::from_config_and_context(&self.config(), Yours).unwrap();
        let mut all = TopicPartitionList::new();
        all.add_partition_offset(self.topic, 0, Offset::Beginning)
            .unwrap();
        consumer.assign(&all).unwrap();
        consumer
    }

    /// Puts a message into the topic as a program without this crate does.
    pub(crate) fn send_as_a_stranger(&self, key: &str, headers: &[(&str, Option<&[u8]>)]) {
        let producer: BaseProducer = self.config().create().unwrap();
        let headers = headers
            .iter()
            .fold(OwnedHeaders::new(), |headers, &(key, value)| {
                headers.insert(Header { key, value })
            });
        let record = BaseRecord::to(self.topic)
            .key(key)
            .payload("v")
            .headers(headers);
        producer.send(record).map_err(|(error, _)| error).unwrap();
        producer.flush(LIMIT).unwrap();
    }

    /// All spans that have ended, in the order in which they did.
    pub(crate) fn spans(&self) -> Vec<SpanData> {
        self.exported.get_finished_spans().unwrap()
    }

    /// The one span of this name.
    pub(crate) fn span(&self, name: &str) -> SpanData {
        let mut named = self.spans();
        named.retain(|span| span.name == name);
        assert_eq!(named.len(), 1, "spans named {name}");
        named.remove(0)
    }
}

/// The next message, or the end of the test.
pub(crate) async fn receive(consumer: &StreamConsumer<Yours>) -> BorrowedMessage<'_> {
    let received = tokio::time::timeout(LIMIT, consumer.recv()).await;
    received.expect("a message").unwrap()
}

/// An attribute's value, if the span has it.
pub(crate) fn attribute<'a>(span: &'a SpanData, key: &str) -> Option<&'a Value> {
    let attribute = span
        .attributes
        .iter()
        .find(|attribute| attribute.key.as_str() == key);
    attribute.map(|attribute| &attribute.value)
}

pub(crate) fn int(value: i64) -> Option<Value> {
    Some(Value::I64(value))
}

pub(crate) fn string(value: &str) -> Option<Value> {
    Some(Value::String(value.to_owned().into()))
}
