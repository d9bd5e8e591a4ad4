//! Exports spans and log lines without disturbing the service, and reports what was lost.
//!
//! The SDK's batch processors already do the first: each has a thread and a bounded queue of its own,
//! and drops what does not fit. But the SDK logs every failed batch, and counts only what did not fit.
//! Here each item is counted twice, when it is recorded and when the collector has accepted it. The
//! difference is what was lost, for whatever reason. It is logged once, at shutdown. An outage is
//! logged when it starts and when it is over.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use opentelemetry::Context;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::trace::{BatchSpanProcessor, Span, SpanData, SpanExporter, SpanProcessor};
use tokio::runtime::Handle;
use tokio_util::context::TokioContext;

use crate::baggage::BaggageAttributes;

/// The events that the SDK and its exporters log for each failed batch, by name. They are not printed,
/// because [`Tally`] logs the same once.
pub(crate) const SUPPRESSED_EVENTS: [&str; 10] = [
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

/// Counts recorded and delivered items, and remembers whether exporting works.
#[derive(Debug)]
pub(crate) struct Tally {
    /// `spans` or `log lines`.
    items: &'static str,
    recorded: AtomicU64,
    delivered: AtomicU64,
    outage: AtomicBool,
}

impl Tally {
    pub(crate) fn of(items: &'static str) -> Arc<Self> {
        Arc::new(Self {
            items,
            recorded: AtomicU64::new(0),
            delivered: AtomicU64::new(0),
            outage: AtomicBool::new(false),
        })
    }

    /// Counts an item that is to be exported.
    pub(crate) fn record(&self) {
        self.recorded.fetch_add(1, Relaxed);
    }

    fn finish_batch(&self, len: u64, result: &OTelSdkResult) {
        let was_outage = self.outage.swap(result.is_err(), Relaxed);
        match result {
            Ok(()) => {
                self.delivered.fetch_add(len, Relaxed);
                if was_outage {
                    tracing::info!("{} are exported again", self.items);
                }
            }
            Err(error) if !was_outage => {
                tracing::warn!(
                    %error,
                    "{} can't be exported, check OTEL_EXPORTER_OTLP_ENDPOINT; \
                     the service goes on without",
                    self.items
                );
            }
            Err(_) => {}
        }
    }

    /// Logs how many items were lost, if any. To be called once nothing more can be delivered. A batch
    /// that is still being sent counts as lost; if it fails later, that is not logged.
    pub(crate) fn report_losses(&self) {
        self.outage.store(true, Relaxed);
        let recorded = self.recorded.load(Relaxed);
        let lost = recorded.saturating_sub(self.delivered.load(Relaxed));
        if lost > 0 {
            tracing::warn!(
                lost,
                recorded,
                "{} were lost: they never reached the collector",
                self.items
            );
        }
    }
}

/// Runs an exporter's futures in the Tokio runtime, within the time limit of a batch. The batch
/// processors poll them on plain threads, where reqwest would find no runtime and panic.
///
/// The limit is applied here, because the SDK's thread-based processors ignore
/// `OTEL_{BSP,BLRP}_EXPORT_TIMEOUT`.
#[derive(Clone, Debug)]
pub(crate) struct Runner {
    pub(crate) runtime: Handle,
    pub(crate) timeout: Duration,
    pub(crate) tally: Arc<Tally>,
}

impl Runner {
    /// Sends one batch of `len` items, and counts them.
    pub(crate) async fn run(
        &self,
        len: usize,
        export: impl Future<Output = OTelSdkResult>,
    ) -> OTelSdkResult {
        let limited = async {
            let result = tokio::time::timeout(self.timeout, export).await;
            result.unwrap_or(Err(OTelSdkError::Timeout(self.timeout)))
        };
        let result = TokioContext::new(limited, self.runtime.clone()).await;
        self.tally.finish_batch(len as u64, &result);
        result
    }
}

/// Copies baggage to a span that starts; counts a span that ends, and passes it to the batch. One
/// processor does all of this, because with two of them the SDK would clone every span.
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
        self.tally.record();
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

/// A span exporter whose calls go through a [`Runner`].
#[derive(Debug)]
pub(crate) struct Exporter<E> {
    pub(crate) inner: E,
    pub(crate) runner: Runner,
}

impl<E: SpanExporter> SpanExporter for Exporter<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let len = batch.len();
        self.runner.run(len, self.inner.export(batch)).await
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
