//! Your own `FutureProducer` and `StreamConsumer`, with contexts of your own, in one trace.
//!
//! Needs no broker: librdkafka brings one of its own, in this very process.
//! `cargo run -p messaging --example your_own_clients`

use std::time::Duration;

use messaging::{FutureRecord, Instrumentation, Message, Producer};
use opentelemetry::global;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracerProvider};
use rdkafka::consumer::{Consumer, ConsumerContext, StreamConsumer};
use rdkafka::error::KafkaError;
use rdkafka::{ClientConfig, ClientContext, mocking::MockCluster, producer::FutureProducer};

/// What your clients call back: their errors, statistics, rebalances. It stays as it is.
struct Yours;

impl ClientContext for Yours {
    fn error(&self, error: KafkaError, reason: &str) {
        eprintln!("Kafka: {error}: {reason}");
    }
}

impl ConsumerContext for Yours {}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let spans = InMemorySpanExporter::default();
    let provider = SdkTracerProvider::builder()
        .with_simple_exporter(spans.clone())
        .build();
    global::set_text_map_propagator(TraceContextPropagator::new());
    let broker = MockCluster::new(1)?;

    // Your clients, as you have them.
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", broker.bootstrap_servers())
        .set("group.id", "readers")
        .set("auto.offset.reset", "earliest");
    let producer: FutureProducer<Yours> = config.create_with_context(Yours)?;
    let consumer: StreamConsumer<Yours> = config.create_with_context(Yours)?;

    // What this crate adds.
    let kafka = Instrumentation::new(&config).with_tracer_provider(&provider);
    let producer = Producer::new(producer, kafka.clone());

    let greeting = FutureRecord::to("greetings").key("world").payload("hello");
    producer.send(greeting, Duration::ZERO).await?;
    // Only now, since the broker creates the topic when the first message comes.
    consumer.subscribe(&["greetings"])?;
    let message = consumer.recv().await?;
    kafka
        .process(&message, async |message| {
            let text = std::str::from_utf8(message.payload().unwrap_or_default())?;
            println!("handled: {text}");
            Ok::<_, std::str::Utf8Error>(())
        })
        .await?;

    for span in spans.get_finished_spans()? {
        let ids = span.span_context;
        println!(
            "{:?} span `{}`, trace {}",
            span.span_kind,
            span.name,
            ids.trace_id()
        );
        println!("    id {}, parent {}", ids.span_id(), span.parent_span_id);
    }
    Ok(())
}
