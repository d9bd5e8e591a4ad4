//! A database, a cluster with one topic of one partition, and relays.

use std::{
    future::Future,
    sync::LazyLock,
    time::{Duration, Instant},
};

use messaging::{Instrumentation, Message, OwnedMessage};
use opentelemetry::{global, trace::TracerProvider as _};
use opentelemetry_sdk::{
    propagation::TraceContextPropagator,
    trace::{InMemorySpanExporter, SdkTracerProvider},
};
use orderflow::testing::{self, TestDatabase};
use outbox::{Error, Outbox, OutboxMessage, Relay, RelayStatus};
use rdkafka::{
    ClientConfig, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
    mocking::MockCluster,
    producer::DefaultProducerContext,
};
use sqlx::postgres::{PgPool, PgPoolOptions};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing_subscriber::prelude::*;

/// Ends a test that would wait for ever.
pub(crate) const LIMIT: Duration = Duration::from_secs(120);

pub(crate) static SPANS: LazyLock<InMemorySpanExporter> = LazyLock::new(|| {
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

pub(crate) struct Setup {
    pub(crate) test: TestDatabase,
    pub(crate) admin: PgPool,
    pub(crate) cluster: MockCluster<'static, DefaultProducerContext>,
    pub(crate) topic: &'static str,
    outbox: Outbox,
}

impl Setup {
    pub(crate) async fn new(topic: &'static str) -> Self {
        LazyLock::force(&SPANS);
        let cluster = MockCluster::new(1).unwrap();
        cluster.create_topic(topic, 1, 1).unwrap();
        let test = testing::database().await;
        let options = PgPoolOptions::new().max_connections(4);
        let admin = options.connect(&test.admin_url()).await.unwrap();
        Self {
            test,
            admin,
            cluster,
            topic,
            outbox: Outbox::in_schema("orders"),
        }
    }

    pub(crate) async fn append(&self, key: &str, payload: &str, commit: bool) {
        let message = OutboxMessage::new(self.topic, key, payload.as_bytes());
        let mut transaction = self.admin.begin().await.unwrap();
        self.outbox.append(&mut transaction, message).await.unwrap();
        if commit {
            transaction.commit().await.unwrap();
        }
    }

    /// Appends `count` messages at once. `key` and `payload` are SQL expressions over `number`, from 1 on.
    pub(crate) async fn append_many(&self, count: i32, key: &str, payload: &str) {
        let insert = format!(
            "INSERT INTO orders.outbox (topic, key, payload, headers)
             SELECT '{}', ({key})::text, convert_to(({payload})::text, 'UTF8'), '{{}}'
             FROM generate_series(1, {count}) AS number",
            self.topic
        );
        self.execute(insert).await;
    }

    pub(crate) async fn execute(&self, statement: String) {
        let statement = sqlx::AssertSqlSafe(statement);
        sqlx::raw_sql(statement).execute(&self.admin).await.unwrap();
    }

    pub(crate) fn kafka(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", self.cluster.bootstrap_servers())
            .set("message.timeout.ms", "0");
        config
    }

    /// A relay in this process. Each has an outbox value of its own, as in a process of its own.
    pub(crate) fn relay(&self) -> Relaying {
        Relaying::start(&self.test.url("orders"), self.kafka())
    }

    /// How many rows fulfil this condition.
    pub(crate) async fn rows(&self, condition: &str) -> i64 {
        let count = format!("SELECT count(*) FROM orders.outbox WHERE {condition}");
        let count = sqlx::query_scalar(sqlx::AssertSqlSafe(count));
        count.fetch_one(&self.admin).await.unwrap()
    }

    pub(crate) async fn until_empty(&self) {
        // Cheaper than to count a long backlog again and again.
        let exists = "SELECT EXISTS (SELECT FROM orders.outbox)";
        until("the outbox is empty", async || {
            let exists = sqlx::query_scalar::<_, bool>(exists);
            !exists.fetch_one(&self.admin).await.unwrap()
        })
        .await;
    }

    /// The process ids and application names of the sessions that hold the relay's lock.
    pub(crate) async fn lock_holders(&self) -> Vec<(i32, String)> {
        let holders = "SELECT pid, application_name FROM pg_locks JOIN pg_stat_activity USING (pid)
             WHERE locktype = 'advisory' AND granted AND datname = current_database()";
        let holders = sqlx::query_as(holders);
        holders.fetch_all(&self.admin).await.unwrap()
    }

    pub(crate) async fn lock_holder(&self) -> i32 {
        let mut holder = None;
        until("a relay holds the lock", async || {
            holder = self.lock_holders().await.pop();
            holder.is_some()
        })
        .await;
        holder.unwrap().0
    }

    /// Every message of the topic up to now.
    pub(crate) async fn received(&self) -> Vec<String> {
        let (config, topic) = (self.kafka(), self.topic);
        let read = tokio::task::spawn_blocking(move || read(config, topic));
        texts(&read.await.unwrap())
    }
}

fn read(mut config: ClientConfig, topic: &str) -> Vec<OwnedMessage> {
    let started = Instant::now();
    let consumer: BaseConsumer = config.set("group.id", "reader").create().unwrap();
    let (_, end) = consumer.fetch_watermarks(topic, 0, LIMIT).unwrap();
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(topic, 0, Offset::Beginning)
        .unwrap();
    consumer.assign(&list).unwrap();
    let mut messages: Vec<OwnedMessage> = Vec::new();
    while messages
        .last()
        .map_or(0, |last: &OwnedMessage| last.offset() + 1)
        < end
    {
        assert!(started.elapsed() < LIMIT, "{} of {end}", messages.len());
        if let Some(message) = consumer.poll(Duration::from_millis(100)) {
            messages.push(message.unwrap().detach());
        }
    }
    messages
}

fn texts(messages: &[OwnedMessage]) -> Vec<String> {
    let text = |message: &OwnedMessage| message.payload().unwrap().to_vec();
    messages
        .iter()
        .map(|message| String::from_utf8(text(message)).unwrap())
        .collect()
}

pub(crate) struct Relaying {
    outbox: Outbox,
    task: JoinHandle<Result<(), Error>>,
    shutdown: CancellationToken,
}

impl Relaying {
    pub(crate) fn start(database: &str, kafka: ClientConfig) -> Self {
        let outbox = Outbox::in_schema("orders");
        let spans = Instrumentation::new(&kafka);
        let make_producer = move || delivery::producer(&kafka, &spans);
        let relay = Relay::new(outbox.clone(), database.parse().unwrap(), make_producer)
            .with_wait_time_attribute("shop.outbox.wait_time");
        let shutdown = CancellationToken::new();
        let task = tokio::spawn(relay.run(shutdown.clone(), Duration::from_secs(10)));
        Self {
            outbox,
            task,
            shutdown,
        }
    }

    pub(crate) fn status(&self) -> RelayStatus {
        self.outbox.relay_status()
    }

    pub(crate) async fn until_status(&self, expected: RelayStatus) {
        let name = format!("the relay is {expected}");
        until(&name, async || self.status() == expected).await;
    }

    pub(crate) async fn stop(self) {
        self.shutdown.cancel();
        self.ended().await.unwrap();
    }

    pub(crate) async fn ended(self) -> Result<(), Error> {
        let ended = tokio::time::timeout(LIMIT, self.task).await;
        let result = ended.expect("the relay ends").unwrap();
        assert_eq!(self.outbox.relay_status(), RelayStatus::Stopped);
        result
    }
}

/// Waits until the condition holds.
pub(crate) async fn until(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let holds = async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    within_limit(what, holds).await;
}

async fn within_limit(what: &str, future: impl Future<Output = ()>) {
    let done = tokio::time::timeout(LIMIT, future).await;
    done.unwrap_or_else(|_| panic!("not within {LIMIT:?}: {what}"));
}
