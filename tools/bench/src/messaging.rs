//! The producer and the consumer of `crates/messaging` beside librdkafka's own, with the same settings.
//!
//! Twice: without spans, and with every span made and then thrown away. What counts is processor time,
//! that of librdkafka's threads included: messages each second say more about the broker. The raw
//! consumer handles one message after the other and knows nothing of retries; what ours does beyond
//! that, many at once and in order by key, is a part of what it adds.

use std::{
    num::NonZeroU32,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use ::messaging::{FutureRecord, Instrumentation, OwnedMessage};
use clap::Args;
use delivery::{
    Consumer, Failure, Handler,
    topics::{self, Topic},
};
use futures_util::{StreamExt, stream};
use opentelemetry::{Context, global, trace::TracerProvider as _};
use opentelemetry_sdk::{
    error::OTelSdkResult,
    propagation::TraceContextPropagator,
    trace::{SdkTracerProvider, Span, SpanData, SpanProcessor},
};
use orderflow::{
    artifacts::Artifacts,
    kafka::{self, Kafka},
};
use rdkafka::{
    ClientConfig, Message,
    consumer::{BaseConsumer, Consumer as _},
    producer::FutureProducer,
    util::Timeout,
};
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;
use tracing_subscriber::{Registry, layer::SubscriberExt};

use crate::{
    measure::at_least_one,
    report::{Cell, Report, median},
    resources::Usage,
    stage::Place,
};

/// As long as an event of one item is.
const PAYLOAD: [u8; 250] = [b'x'; 250];
const PARTITIONS: i32 = 6;
const RAW: &str = "bench.raw";
/// How many messages are sent before the first is acknowledged, at most.
const IN_FLIGHT: usize = 1_000;
/// What a second is good for, about.
const MESSAGES_EACH_SECOND: u32 = 50_000;

/// How much is sent and consumed.
#[derive(Debug, Clone, Args)]
pub(crate) struct Options {
    /// About how many seconds each run takes: as many messages as that is good for.
    #[arg(long, default_value_t = at_least_one(2))]
    seconds: NonZeroU32,
    /// How many runs there are of each kind, in turns.
    #[arg(long, default_value_t = at_least_one(5))]
    rounds: NonZeroU32,
}

/// What one run cost.
#[derive(Debug, Clone, Copy)]
struct Cost {
    each_second: f64,
    /// Processor time for a message, in microseconds.
    processor: Option<f64>,
}

/// The same with librdkafka alone and with ours around it, run by run.
#[derive(Debug, Default)]
struct Pair {
    raw: Vec<Cost>,
    ours: Vec<Cost>,
}

/// Where messages go, and how many.
struct Bench {
    brokers: String,
    count: usize,
    groups: AtomicUsize,
}

pub(crate) async fn run(options: Options) -> anyhow::Result<Report> {
    let place = Place::new()?;
    let artifacts = spawn_blocking(Artifacts::fetch).await??;
    let kafka = kafka::Options {
        directory: place.kafka(),
        port: None,
    };
    let kafka = Kafka::start(&artifacts, kafka).await?;
    let bench = Bench {
        brokers: kafka.brokers(),
        count: (options.seconds.get() * MESSAGES_EACH_SECOND) as usize,
        groups: AtomicUsize::new(0),
    };
    let columns = [
        "",
        "raw messages/s",
        "ours messages/s",
        "raw CPU µs",
        "ours CPU µs",
        "added µs",
    ];
    let mut report = Report::new(
        "A message through librdkafka alone, and through ours",
        &columns,
    );
    let (send, process) = bench.pairs("bench.untraced", options.rounds).await?;
    report.row(send.cells("send, no spans"));
    report.row(process.cells("process, no spans"));
    make_spans()?;
    let (send, process) = bench.pairs("bench.traced", options.rounds).await?;
    report.row(send.cells("send, with its span"));
    report.row(process.cells("process, with its span"));
    Ok(report)
}

impl Bench {
    async fn pairs(&self, topic: &str, rounds: NonZeroU32) -> anyhow::Result<(Pair, Pair)> {
        let both = [RAW, topic].map(|topic| Topic::new(topic, PARTITIONS));
        topics::create(&self.config(), &both).await?;
        let (mut send, mut process) = (Pair::default(), Pair::default());
        // What is done for the first time takes longer: it does not count.
        self.send(topic).await?;
        for _ in 0..rounds.get() {
            send.raw.push(self.send_raw().await?);
            send.ours.push(self.send(topic).await?);
            process.raw.push(self.process_raw(topic).await?);
            process.ours.push(self.process(topic).await?);
        }
        Ok((send, process))
    }

    async fn send_raw(&self) -> anyhow::Result<Cost> {
        // As messaging's own producer is configured.
        let producer: FutureProducer = ClientConfig::new()
            .set("bootstrap.servers", &self.brokers)
            .set("enable.idempotence", "true")
            .set("acks", "all")
            .set("linger.ms", "2")
            .set("queue.buffering.max.kbytes", "32768")
            .create()?;
        let send = async |key: String| {
            let record = FutureRecord::to(RAW).key(&key).payload(&PAYLOAD[..]);
            let sent = producer.send(record, Timeout::After(Duration::ZERO)).await;
            sent.map(drop).map_err(|(error, _)| error)
        };
        self.send_all(send).await
    }

    async fn send(&self, topic: &str) -> anyhow::Result<Cost> {
        let config = self.config();
        let producer = delivery::producer(&config, &Instrumentation::new(&config))?;
        let send = async |key: String| {
            let record = FutureRecord::to(topic).key(&key).payload(&PAYLOAD[..]);
            producer.send(record, Duration::ZERO).await.map(drop)
        };
        self.send_all(send).await
    }

    async fn send_all<E>(&self, send: impl AsyncFn(String) -> Result<(), E>) -> anyhow::Result<Cost>
    where
        E: std::error::Error + Send + Sync + 'static,
    {
        send("connects".to_owned()).await?;
        let meter = Meter::start();
        let mut sends = stream::iter(0..self.count)
            .map(|number| send(number.to_string()))
            .buffer_unordered(IN_FLIGHT);
        while let Some(sent) = sends.next().await {
            sent?;
        }
        Ok(meter.cost(self.count))
    }

    async fn process_raw(&self, topic: &str) -> anyhow::Result<Cost> {
        // As messaging's own consumer is configured.
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", &self.brokers)
            .set("group.id", self.new_group())
            .set("partition.assignment.strategy", "cooperative-sticky")
            .set("enable.auto.offset.store", "false")
            .set("auto.offset.reset", "earliest")
            .set("queued.max.messages.kbytes", "4096")
            .set("fetch.queue.backoff.ms", "5")
            .create()?;
        consumer.subscribe(&[topic])?;
        let count = self.count;
        spawn_blocking(move || {
            let (mut meter, mut seen) = (None, 0);
            while seen < count {
                let Some(message) = consumer.poll(Duration::from_millis(100)) else {
                    continue;
                };
                let message = message?;
                meter.get_or_insert_with(Meter::start);
                std::hint::black_box(message.payload());
                consumer.store_offset_from_message(&message)?;
                seen += 1;
            }
            Ok(meter.unwrap_or_else(Meter::start).cost(seen))
        })
        .await?
    }

    async fn process(&self, topic: &str) -> anyhow::Result<Cost> {
        let mut config = self.config();
        config.set("group.id", self.new_group());
        let counting = Arc::new(Counting {
            wanted: self.count,
            seen: AtomicUsize::new(0),
            meter: OnceLock::new(),
            cost: OnceLock::new(),
            enough: CancellationToken::new(),
        });
        let enough = counting.enough.clone();
        Consumer::builder(&config, topic)
            .build()?
            .run(Count(Arc::clone(&counting)), enough)
            .await?;
        let cost = counting.cost.get().copied();
        cost.ok_or_else(|| anyhow::anyhow!("the consumer ended early"))
    }

    fn config(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &self.brokers)
            .set("client.id", "bench");
        config
    }

    fn new_group(&self) -> String {
        format!("bench-{}", self.groups.fetch_add(1, Relaxed))
    }
}

/// Counts messages, from the first one on, and has enough after so many.
struct Counting {
    wanted: usize,
    seen: AtomicUsize,
    meter: OnceLock<Meter>,
    cost: OnceLock<Cost>,
    enough: CancellationToken,
}

struct Count(Arc<Counting>);

impl Handler for Count {
    async fn handle(&self, message: &OwnedMessage) -> Result<(), Failure> {
        let meter = self.0.meter.get_or_init(Meter::start);
        std::hint::black_box(message.payload());
        if self.0.seen.fetch_add(1, Relaxed) + 1 == self.0.wanted {
            self.0.cost.get_or_init(|| meter.cost(self.0.wanted));
            self.0.enough.cancel();
        }
        Ok(())
    }
}

/// What has been used since it was started.
struct Meter {
    begun: Instant,
    used: Option<Duration>,
}

impl Meter {
    fn start() -> Self {
        Self {
            begun: Instant::now(),
            used: Usage::of_us().map(|used| used.processor),
        }
    }

    fn cost(&self, messages: usize) -> Cost {
        let messages = messages as f64;
        let used = Usage::of_us().zip(self.used);
        let used = used.map(|(now, before)| now.processor.saturating_sub(before));
        Cost {
            each_second: messages / self.begun.elapsed().as_secs_f64(),
            processor: used.map(|used| used.as_secs_f64() * 1e6 / messages),
        }
    }
}

impl Pair {
    fn cells(&self, name: &str) -> Vec<Cell> {
        let each_second =
            |costs: &[Cost]| Cell::Runs(costs.iter().map(|cost| cost.each_second).collect());
        let processor = |costs: &[Cost]| -> Vec<f64> {
            costs.iter().filter_map(|cost| cost.processor).collect()
        };
        let (raw, ours) = (processor(&self.raw), processor(&self.ours));
        let added = median(&ours)
            .zip(median(&raw))
            .map(|(ours, raw)| ours - raw);
        vec![
            Cell::text(name),
            each_second(&self.raw),
            each_second(&self.ours),
            Cell::Runs(raw),
            Cell::Runs(ours),
            Cell::Runs(added.into_iter().collect()),
        ]
    }
}

/// From here on each span is made, ended, and thrown away.
fn make_spans() -> anyhow::Result<()> {
    global::set_text_map_propagator(TraceContextPropagator::new());
    let provider = SdkTracerProvider::builder()
        .with_span_processor(ThrownAway)
        .build();
    let layer = telemetry::spans::layer(provider.tracer("bench"));
    global::set_tracer_provider(provider);
    tracing::subscriber::set_global_default(Registry::default().with(layer))?;
    Ok(())
}

#[derive(Debug)]
struct ThrownAway;

impl SpanProcessor for ThrownAway {
    fn on_start(&self, _span: &mut Span, _context: &Context) {}

    fn on_end(&self, span: SpanData) {
        std::hint::black_box(span);
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _timeout: Duration) -> OTelSdkResult {
        Ok(())
    }
}
