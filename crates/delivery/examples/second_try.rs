//! A handler that fails at first: two `process` spans, both children of the `send` span.
//!
//! Needs no broker: librdkafka brings one of its own, in this very process.
//! `cargo run -p delivery --example second_try`

use std::{
    io,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use delivery::{Consumer, Failure, Handler};
use messaging::{FutureRecord, Instrumentation, OwnedMessage};
use opentelemetry::global;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracerProvider};
use rdkafka::{ClientConfig, mocking::MockCluster};
use tokio_util::sync::CancellationToken;

/// Fails once, then succeeds and ends the program.
struct SecondTry {
    has_failed: AtomicBool,
    shutdown: CancellationToken,
}

impl Handler for SecondTry {
    async fn handle(&self, _message: &OwnedMessage) -> Result<(), Failure> {
        if !self.has_failed.swap(true, Ordering::Relaxed) {
            // `?` makes a transient failure of any error: the message is retried after at most 600 ms.
            Err(io::Error::other("the disk is full"))?;
        }
        self.shutdown.cancel();
        Ok(())
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let spans = InMemorySpanExporter::default();
    let provider = SdkTracerProvider::builder()
        .with_simple_exporter(spans.clone())
        .build();
    global::set_text_map_propagator(TraceContextPropagator::new());
    let broker = MockCluster::new(1)?;
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", broker.bootstrap_servers());
    let kafka = Instrumentation::new(&config).with_tracer_provider(&provider);

    let producer = delivery::producer(&config, &kafka)?;
    let greeting = FutureRecord::to("greetings").key("world").payload("hello");
    producer.send(greeting, Duration::ZERO).await?;

    let shutdown = CancellationToken::new();
    let handler = SecondTry {
        has_failed: AtomicBool::new(false),
        shutdown: shutdown.clone(),
    };
    config.set("group.id", "readers");
    let consumer = Consumer::builder(&config, "greetings").instrumentation(kafka);
    consumer.build()?.run(handler, shutdown).await?;

    for span in spans.get_finished_spans()? {
        let (ids, status) = (span.span_context, span.status);
        println!(
            "{:?} span `{}`, trace {}",
            span.span_kind,
            span.name,
            ids.trace_id()
        );
        println!(
            "    id {}, parent {}, {status:?}",
            ids.span_id(),
            span.parent_span_id
        );
    }
    Ok(())
}
