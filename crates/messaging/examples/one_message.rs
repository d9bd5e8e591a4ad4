//! One message, one trace: sent, carried through Kafka, processed. Prints both spans.
//!
//! Needs no broker: librdkafka brings one of its own, in this very process.
//! `cargo run -p messaging --example one_message`

use std::{convert::Infallible, time::Duration};

use messaging::{FutureRecord, Instrumentation, Message, Producer};
use opentelemetry::global;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracerProvider};
use rdkafka::consumer::{Consumer, StreamConsumer};
use rdkafka::{ClientConfig, mocking::MockCluster};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let spans = InMemorySpanExporter::default();
    let provider = SdkTracerProvider::builder()
        .with_simple_exporter(spans.clone())
        .build();
    global::set_tracer_provider(provider);
    global::set_text_map_propagator(TraceContextPropagator::new());

    let broker = MockCluster::new(1)?;
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", broker.bootstrap_servers())
        .set("group.id", "readers")
        .set("auto.offset.reset", "earliest");
    let kafka = Instrumentation::new(&config);

    let producer = Producer::new(config.create()?, kafka.clone());
    let message = FutureRecord::to("greetings").key("world").payload("hello");
    producer.send(message, Duration::ZERO).await?;

    let consumer: StreamConsumer = config.create()?;
    consumer.subscribe(&["greetings"])?;
    let message = consumer.recv().await?;
    kafka.process(&message, print).await?;

    for span in spans.get_finished_spans()? {
        let ids = span.span_context;
        println!("{}, trace {}", span.name, ids.trace_id());
        println!("    span {}, parent {}", ids.span_id(), span.parent_span_id);
    }
    Ok(())
}

async fn print(message: &impl Message) -> Result<(), Infallible> {
    let text = String::from_utf8_lossy(message.payload().unwrap_or_default());
    println!("handled: {text}");
    Ok(())
}
