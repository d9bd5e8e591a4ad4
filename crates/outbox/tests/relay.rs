//! The outbox against a real PostgreSQL and librdkafka's in-process cluster.

#![expect(clippy::unwrap_used, reason = "a test that can't go on has failed")]

use std::{sync::LazyLock, time::Duration};

use messaging::{Instrumentation, Message, OwnedMessage};
use opentelemetry::{
    Value, global,
    trace::{SpanKind, TracerProvider as _},
};
use opentelemetry_sdk::{
    propagation::TraceContextPropagator,
    trace::{InMemorySpanExporter, SdkTracerProvider, SpanData},
};
use orderflow::testing::{self, TestDatabase};
use outbox::{Outbox, OutboxMessage, Relay};
use rdkafka::{
    ClientConfig, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
    mocking::MockCluster,
    producer::DefaultProducerContext,
};
use sqlx::postgres::{PgPool, PgPoolOptions};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, info_span};
use tracing_subscriber::prelude::*;

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

fn span(name: &str) -> SpanData {
    let spans = SPANS.get_finished_spans().unwrap();
    spans.into_iter().find(|span| span.name == name).unwrap()
}

struct Setup {
    test: TestDatabase,
    database: PgPool,
    outbox: Outbox,
    cluster: MockCluster<'static, DefaultProducerContext>,
    topic: &'static str,
}

struct Relaying {
    task: JoinHandle<()>,
    shutdown: CancellationToken,
}

impl Setup {
    async fn new(topic: &'static str) -> Self {
        LazyLock::force(&SPANS);
        let cluster = MockCluster::new(1).unwrap();
        cluster.create_topic(topic, 1, 1).unwrap();
        let test = testing::database().await;
        let options = PgPoolOptions::new().max_connections(4);
        let database = options.connect(&test.url("orders")).await.unwrap();
        Self {
            test,
            database,
            outbox: Outbox::in_schema("orders"),
            cluster,
            topic,
        }
    }

    fn pool(&self) -> &PgPool {
        &self.database
    }

    async fn append(&self, key: &str, payload: &str, commit: bool) {
        let message = OutboxMessage {
            topic: self.topic,
            key,
            payload: payload.as_bytes(),
            content_type: "text/plain",
        };
        let mut transaction = self.pool().begin().await.unwrap();
        self.outbox.append(&mut transaction, message).await.unwrap();
        if commit {
            transaction.commit().await.unwrap();
            self.outbox.committed();
        }
    }

    fn relay(&self) -> Relaying {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", self.cluster.bootstrap_servers())
            .set("message.timeout.ms", "0");
        let producer = delivery::producer(&config, &Instrumentation::new(&config)).unwrap();
        let relay = Relay::new(self.outbox.clone(), self.database.clone(), producer)
            .with_wait_time_attribute("shop.outbox.wait_time");
        let shutdown = CancellationToken::new();
        let task = tokio::spawn(relay.run(shutdown.clone(), Duration::from_secs(10)));
        Relaying { task, shutdown }
    }

    async fn rows(&self) -> i64 {
        let count = sqlx::query_scalar("SELECT count(*) FROM orders.outbox");
        count.fetch_one(self.pool()).await.unwrap()
    }

    async fn until_empty(&self) {
        let emptied = async {
            while self.rows().await > 0 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), emptied)
            .await
            .expect("the outbox empties");
    }

    /// The first messages of the topic.
    fn received(&self, count: usize) -> Vec<OwnedMessage> {
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", self.cluster.bootstrap_servers())
            .set("group.id", "reader")
            .create()
            .unwrap();
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(self.topic, 0, Offset::Beginning)
            .unwrap();
        consumer.assign(&list).unwrap();
        let received = consumer.iter().filter_map(Result::ok);
        received
            .take(count)
            .map(|message| message.detach())
            .collect()
    }
}

impl Relaying {
    async fn stop(self) {
        self.shutdown.cancel();
        self.task.await.unwrap();
    }
}

fn texts(messages: &[OwnedMessage]) -> Vec<String> {
    let text = |message: &OwnedMessage| message.payload().unwrap().to_vec();
    messages
        .iter()
        .map(|message| String::from_utf8(text(message)).unwrap())
        .collect()
}

#[tokio::test]
async fn a_committed_message_is_sent_in_the_trace_it_was_appended_in() {
    let setup = Setup::new("in.trace").await;
    setup.append("k", "rolled back", false).await;
    let request = info_span!("request in.trace");
    setup
        .append("k", "committed", true)
        .instrument(request)
        .await;
    // Nobody relays yet: the request is long over when somebody does.
    let relay = setup.relay();
    setup.until_empty().await;
    relay.stop().await;
    let received = setup.received(1);
    assert_eq!(texts(&received), ["committed"]);

    let (request, send) = (span("request in.trace"), span("send in.trace"));
    assert_eq!(send.span_kind, SpanKind::Producer);
    assert_eq!(send.parent_span_id, request.span_context.span_id());
    assert_eq!(
        send.span_context.trace_id(),
        request.span_context.trace_id()
    );
    let waited = send
        .attributes
        .iter()
        .find(|attribute| attribute.key.as_str() == "shop.outbox.wait_time");
    assert!(matches!(waited.unwrap().value, Value::F64(seconds) if seconds > 0.0));
}

#[tokio::test]
async fn messages_wait_for_a_broker_that_is_down() {
    let setup = Setup::new("broker.down").await;
    setup.cluster.broker_down(1).unwrap();
    let relay = setup.relay();
    for number in 0..20 {
        setup
            .append(&number.to_string(), &number.to_string(), true)
            .await;
    }
    assert_eq!(setup.rows().await, 20);
    setup.cluster.broker_up(1).unwrap();
    setup.until_empty().await;
    relay.stop().await;
    let mut numbers: Vec<u32> = texts(&setup.received(20))
        .iter()
        .map(|text| text.parse().unwrap())
        .collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (0..20).collect::<Vec<_>>());
}

#[tokio::test]
async fn messages_of_one_key_keep_their_order() {
    let setup = Setup::new("in.order").await;
    for number in 0..30 {
        setup.append("k", &number.to_string(), true).await;
    }
    let relay = setup.relay();
    setup.until_empty().await;
    relay.stop().await;
    let expected: Vec<_> = (0..30).map(|number| number.to_string()).collect();
    assert_eq!(texts(&setup.received(30)), expected);
}

#[tokio::test]
async fn one_relays_at_a_time_and_another_takes_over() {
    let setup = Setup::new("take.over").await;
    let first = setup.relay();
    setup.append("k", "by the first", true).await;
    setup.until_empty().await;
    let second = setup.relay();
    setup.append("k", "by the first too", true).await;
    setup.until_empty().await;
    assert_eq!(lock_holders(&setup).await, 1);

    // As if the first had died: its connection is gone, and the lock with it.
    let killed = "SELECT count(pg_terminate_backend(pid)) FROM pg_locks WHERE locktype = 'advisory'
                  AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    let admin = PgPool::connect(&setup.test.admin_url()).await.unwrap();
    let killed: i64 = sqlx::query_scalar(killed).fetch_one(&admin).await.unwrap();
    assert_eq!(killed, 1);
    setup.append("k", "by whoever is next", true).await;
    setup.until_empty().await;
    first.stop().await;
    setup.append("k", "by the second", true).await;
    setup.until_empty().await;
    second.stop().await;
    assert_eq!(setup.received(4).len(), 4);
}

async fn lock_holders(setup: &Setup) -> i64 {
    let holders = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted
                   AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    sqlx::query_scalar(holders)
        .fetch_one(setup.pool())
        .await
        .unwrap()
}
