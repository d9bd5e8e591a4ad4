//! What is the current context inside a handler, with `tracing` and without.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
};

use messaging::{FutureRecord, Instrumentation};
use opentelemetry::{
    Context,
    context::FutureExt,
    trace::{SpanContext, SpanId, TraceContextExt, TraceId, Tracer, TracerProvider},
};
use tracing::{Instrument, Span, info_span, subscriber::DefaultGuard};
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::{EnvFilter, prelude::*};

use crate::common::{Kafka, NOT_WHEN_FULL, receive};

fn current() -> SpanContext {
    Context::current().span().span_context().clone()
}

/// `tracing` with OpenTelemetry's layer, on this thread; `filter` as in `RUST_LOG`, for spans as well as events.
fn tracing_on_this_thread(kafka: &Kafka, filter: &str) -> DefaultGuard {
    let layer = tracing_opentelemetry::layer().with_tracer(kafka.provider.tracer("tracing"));
    let subscriber = tracing_subscriber::registry()
        .with(EnvFilter::new(filter))
        .with(layer);
    tracing::subscriber::set_default(subscriber)
}

/// Sends one message and processes it with `handler`.
async fn send_and_process<H: Future<Output = ()>>(kafka: &Kafka, handler: impl FnOnce() -> H) {
    let record = FutureRecord::to(kafka.topic).key("k").payload("v");
    kafka.producer().send(record, NOT_WHEN_FULL).await.unwrap();
    let consumer = kafka.consumer();
    let message = receive(&consumer).await;
    let handler = async |_: &_| {
        handler().await;
        Ok::<_, Infallible>(())
    };
    kafka
        .instrumentation()
        .process(&message, handler)
        .await
        .unwrap();
}

#[tokio::test]
async fn the_handler_runs_inside_the_process_span_without_tracing() {
    let kafka = Kafka::with_topic("plain");
    let mut seen = SpanContext::NONE;
    send_and_process(&kafka, async || {
        tokio::task::yield_now().await;
        seen = current();
    })
    .await;
    assert_eq!(
        kafka.span("process plain").span_context.span_id(),
        seen.span_id()
    );
    assert!(!current().is_valid(), "nothing is current afterwards");
}

#[tokio::test]
async fn a_tracing_span_inside_is_a_child_also_below_another_tracing_span() {
    let kafka = Kafka::with_topic("child");
    let _tracing = tracing_on_this_thread(&kafka, "info");
    let work = async || {
        info_span!("work").in_scope(|| ());
        assert!(
            Span::current()
                .metadata()
                .is_none_or(|span| span.name() == "outer")
        );
    };
    send_and_process(&kafka, work)
        .instrument(info_span!("outer"))
        .await;
    let process = kafka.span("process child").span_context;
    let child = kafka.span("work");
    assert_eq!(child.parent_span_id, process.span_id());
    assert_eq!(child.span_context.trace_id(), process.trace_id());
    // The loop's own span stays the parent of the send only.
    let outer = kafka.span("outer").span_context;
    assert_eq!(kafka.span("send child").parent_span_id, outer.span_id());
}

#[tokio::test]
async fn the_process_span_is_not_the_current_span_of_tracing() {
    let kafka = Kafka::with_topic("not.tracing");
    let _tracing = tracing_on_this_thread(&kafka, "info");
    send_and_process(&kafka, async || {
        assert!(Span::current().is_none());
        assert!(!Span::current().context().span().span_context().is_valid());
        assert!(current().is_valid());
    })
    .await;
}

#[tokio::test]
async fn a_spawned_task_belongs_to_the_span_if_it_is_given_the_context() {
    let kafka = Kafka::with_topic("spawned");
    let mut seen = (SpanContext::NONE, SpanContext::NONE);
    send_and_process(&kafka, async || {
        let without = tokio::spawn(async { current() });
        let with = tokio::spawn(async { current() }.with_current_context());
        seen = (without.await.unwrap(), with.await.unwrap());
    })
    .await;
    let process = kafka.span("process spawned").span_context;
    assert_eq!(seen.0.span_id(), SpanId::INVALID);
    assert_eq!(seen.1.span_id(), process.span_id());
}

#[tokio::test]
async fn processing_can_be_spawned_itself() {
    let kafka = Kafka::with_topic("spawnable");
    kafka.send_as_a_stranger("k", &[]);
    let consumer = kafka.consumer();
    let message = receive(&consumer).await.detach();
    let instrumentation = kafka.instrumentation();
    let task = async move {
        let handler = async |_: &_| {
            tokio::task::yield_now().await;
            Ok::<_, Infallible>(())
        };
        instrumentation.process(&message, handler).await
    };
    tokio::spawn(task).await.unwrap().unwrap();
    kafka.span("process spawnable");
}

#[tokio::test]
async fn a_log_line_inside_has_the_ids_of_the_process_span() {
    /// Keeps the ids that are current when an event is logged, as a log layer reads them.
    struct Ids(Arc<Mutex<Vec<(TraceId, SpanId)>>>);
    impl<S: tracing::Subscriber> tracing_subscriber::Layer<S> for Ids {
        fn on_event(&self, _: &tracing::Event<'_>, _: tracing_subscriber::layer::Context<'_, S>) {
            let current = current();
            self.0
                .lock()
                .unwrap()
                .push((current.trace_id(), current.span_id()));
        }
    }
    let kafka = Kafka::with_topic("log.line");
    let logged = Arc::default();
    let subscriber = tracing_subscriber::registry().with(Ids(Arc::clone(&logged)));
    let _tracing = tracing::subscriber::set_default(subscriber);
    send_and_process(
        &kafka,
        async || tracing::info!(target: "handler", "handled"),
    )
    .await;
    let process = kafka.span("process log.line").span_context;
    let logged = logged.lock().unwrap();
    assert!(
        logged.contains(&(process.trace_id(), process.span_id())),
        "{logged:?}"
    );
}

#[tokio::test]
async fn a_filter_of_tracing_never_drops_the_callers_context() {
    let kafka = Kafka::with_topic("filtered");
    // `warn` filters out every span of `tracing`; the caller's is one of OpenTelemetry's API.
    let _tracing = tracing_on_this_thread(&kafka, "warn");
    let caller = kafka.provider.tracer("test").start("caller");
    let caller = Context::new().with_span(caller);
    let ids = caller.span().span_context().clone();
    let sending = async {
        let filtered = info_span!("filtered");
        send_and_process(&kafka, async || {})
            .instrument(filtered)
            .await;
    };
    sending.with_context(caller).await;
    let send = kafka.span("send filtered");
    assert_eq!(send.parent_span_id, ids.span_id());
    let process = kafka.span("process filtered");
    assert_eq!(process.parent_span_id, send.span_context.span_id());
    assert_eq!(process.span_context.trace_id(), ids.trace_id());
}

#[tokio::test]
async fn without_traces_the_callers_context_travels_to_the_handler() {
    let kafka = Kafka::with_topic("off");
    let off = Instrumentation::new(&kafka.config()).without_traces();
    let caller = kafka.provider.tracer("test").start("caller");
    let caller = Context::new().with_span(caller);
    let ids = caller.span().span_context().clone();
    let producer = messaging::Producer::new(kafka.producer().client().clone(), off.clone());
    let record = FutureRecord::to("off").key("k").payload("v");
    let sending = producer.send(record, NOT_WHEN_FULL);
    sending.with_context(caller.clone()).await.unwrap();
    let consumer = kafka.consumer();
    let message = receive(&consumer).await;
    let handler = async |_: &_| Ok::<_, Infallible>(current());
    let seen = off.process(&message, handler).await.unwrap();
    assert_eq!(
        (seen.trace_id(), seen.span_id()),
        (ids.trace_id(), ids.span_id())
    );
    assert_eq!(kafka.spans().len(), 0, "no span has ended");
    // The caller's span is the caller's to end.
    caller.span().end();
    assert_eq!(kafka.spans().len(), 1);
}
