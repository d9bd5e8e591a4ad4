//! One message, one trace: sent, carried through Kafka, processed. Prints both spans.
//!
//! Needs no broker: librdkafka brings one of its own, in this very process.
//! `cargo run -p messaging --example one_message`

use messaging::{Consumer, ConsumerConfig, Failure, FutureRecord, Handler, Message, OwnedMessage};
use messaging::{Producer, ProducerConfig};
use opentelemetry::{global, trace::TracerProvider as _};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracerProvider};
use rdkafka::mocking::MockCluster;
use tokio_util::sync::CancellationToken;
use tracing_subscriber::prelude::*;

/// Prints the message, then has the consumer end.
struct Print(CancellationToken);

impl Handler for Print {
    async fn handle(&self, message: &OwnedMessage) -> Result<(), Failure> {
        let text = String::from_utf8_lossy(message.payload().unwrap_or_default());
        println!("handled: {text}");
        self.0.cancel();
        Ok(())
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let spans = InMemorySpanExporter::default();
    let provider = SdkTracerProvider::builder()
        .with_simple_exporter(spans.clone())
        .build();
    let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("one_message"));
    tracing_subscriber::registry().with(layer).init();
    global::set_text_map_propagator(TraceContextPropagator::new());

    let kafka = MockCluster::new(1)?;
    kafka.create_topic("greetings", 1, 1)?;
    let brokers = kafka.bootstrap_servers();
    let producer = Producer::new(&ProducerConfig::new(&brokers, "greeter"))?;
    let consumer = Consumer::new(&ConsumerConfig::new(&brokers, "readers", "greetings"))?;

    let message = FutureRecord::to("greetings").key("world").payload("hello");
    producer.send(message).await?;
    let done = CancellationToken::new();
    consumer.run(Print(done.clone()), done).await?;

    for span in spans.get_finished_spans()? {
        println!("{}, trace {}", span.name, span.span_context.trace_id());
        println!(
            "    span {}, parent {}",
            span.span_context.span_id(),
            span.parent_span_id
        );
    }
    Ok(())
}
