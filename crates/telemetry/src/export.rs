//! Exporting must never disturb the service, and what is lost must be told.
//!
//! The SDK's batch processor already takes care of the first: it has a thread and a bounded queue of its
//! own, and drops what does not fit, which it tells once. But it writes a line for every failed batch,
//! and counts only what did not fit. Here each span is counted twice, when it ends and when the collector
//! has taken it; the difference is what was lost, whatever the reason, and is told once, at the end. An
//! outage is told when it starts and when it is over.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use opentelemetry::Context;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{BatchSpanProcessor, Span, SpanData, SpanExporter, SpanProcessor};
use tokio::runtime::Handle;
use tokio_util::context::TokioContext;

use crate::baggage::BaggageAttributes;

/// What the SDK and its exporters say about each failed batch, by event name. [`Tally`] and [`Exporter`]
/// say it instead, once, for spans; log lines that are not exported are still on standard output.
pub(crate) const TOLD_HERE: [&str; 10] = [
    "BatchLogProcessor.Emit.AfterShutdown",
    "BatchLogProcessor.ExportError",
    "BatchLogProcessor.LogDroppingStarted",
    "BatchLogProcessor.LogsDropped",
    "BatchLogProcessor.Shutdown.Timeout",
    "BatchSpanProcessor.ExportError",
    "BatchSpanProcessor.SpansDropped",
    "BatchSpanProcessor.Shutdown.Timeout",
    "Export.Failed.DeadlineExceeded",
    "Export.Failed.NonRetryable",
];

/// How many spans have ended, how many of them have arrived, and whether arriving is possible.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    ended: AtomicU64,
    delivered: AtomicU64,
    outage: AtomicBool,
}

impl Tally {
    fn count(&self, spans: u64, result: &OTelSdkResult) {
        let was_outage = self.outage.swap(result.is_err(), Relaxed);
        match result {
            Ok(()) => {
                self.delivered.fetch_add(spans, Relaxed);
                if was_outage {
                    tracing::info!("spans are exported again");
                }
            }
            Err(error) if !was_outage => {
                tracing::warn!(%error, "spans can't be exported; the service goes on without");
            }
            Err(_) => {}
        }
    }

    /// The one line about all that was lost, to be written when nothing more can arrive. A batch that is
    /// still on its way may yet fail; nothing is said about that any more.
    pub(crate) fn close(&self) {
        self.outage.store(true, Relaxed);
        let ended = self.ended.load(Relaxed);
        let lost = ended.saturating_sub(self.delivered.load(Relaxed));
        if lost > 0 {
            tracing::warn!(
                lost,
                ended,
                "spans were lost: they never reached the collector"
            );
        }
    }
}

/// Copies baggage to a span that starts, counts one that ends, and hands it to the batch. One processor
/// for all of it: as soon as there are two, the SDK makes a copy of every span for each of them.
#[derive(Debug)]
pub(crate) struct Processor {
    pub(crate) baggage: BaggageAttributes,
    pub(crate) tally: Arc<Tally>,
    pub(crate) batch: BatchSpanProcessor,
}

impl SpanProcessor for Processor {
    fn on_start(&self, span: &mut Span, parent: &Context) {
        self.baggage.on_start(span, parent);
    }

    fn on_end(&self, span: SpanData) {
        self.tally.ended.fetch_add(1, Relaxed);
        self.batch.on_end(span);
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.batch.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.batch.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.batch.set_resource(resource);
    }
}

/// Counts the spans that arrive, and runs the exporter inside it in the Tokio runtime: the batch
/// processor calls it from a plain thread, where reqwest finds no runtime and panics.
#[derive(Debug)]
pub(crate) struct Exporter<E> {
    inner: E,
    runtime: Handle,
    tally: Arc<Tally>,
}

impl<E: SpanExporter> Exporter<E> {
    pub(crate) fn new(inner: E, runtime: Handle, tally: Arc<Tally>) -> Self {
        Self {
            inner,
            runtime,
            tally,
        }
    }
}

impl<E: SpanExporter> SpanExporter for Exporter<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len() as u64;
        let result = TokioContext::new(self.inner.export(batch), self.runtime.clone()).await;
        self.tally.count(spans, &result);
        result
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    // Some exporters implement only this one of the two.
    fn shutdown(&self) -> OTelSdkResult {
        self.inner.shutdown()
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.inner.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}
