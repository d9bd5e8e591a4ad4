//! Log lines over OTLP, besides those on standard output.
//!
//! A line goes with the trace and span that it was written in, so that a viewer can show it there. The
//! same lines are exported as are printed, but for what the exporters themselves and the libraries under
//! them say: exporting that would make more of it.

use std::fmt;
use std::time::Duration;

use opentelemetry_appender_tracing::layer::OpenTelemetryTracingBridge;
use opentelemetry_otlp::WithExportConfig;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::logs::{
    BatchConfigBuilder, BatchLogProcessor, LogBatch, LogExporter, SdkLoggerProvider,
};
use tokio::runtime::Handle;
use tokio_util::context::TokioContext;
use tracing::Subscriber;
use tracing_subscriber::filter::{EnvFilter, FilterExt, ParseError, filter_fn};
use tracing_subscriber::{Layer, registry::LookupSpan};

use crate::InitError;
use crate::config::{Config, Exporter, Protocol};
use crate::logs::DEFAULT_FILTER;

/// Who speaks while something is exported.
const NOT_EXPORTED: [&str; 6] = ["opentelemetry", "h2", "hyper", "tonic", "tower", "reqwest"];
/// As for spans: what waits is lost with a process that is killed.
const SCHEDULE_DELAY: Duration = Duration::from_millis(500);

/// What log lines go through; nothing if they are not exported.
#[derive(Debug, Clone)]
pub(crate) struct LogPipeline(Option<SdkLoggerProvider>);

impl LogPipeline {
    pub(crate) fn build(
        config: &Config,
        resource: Resource,
        runtime: &Handle,
    ) -> Result<Self, InitError> {
        let console = opentelemetry_stdout::LogExporter::default;
        let processor = match config.logs_exporter {
            _ if config.disabled => return Ok(Self(None)),
            Exporter::None => return Ok(Self(None)),
            Exporter::Console => batch(console(), runtime),
            Exporter::Otlp => batch(otlp(config.logs_protocol)?, runtime),
        };
        let builder = SdkLoggerProvider::builder().with_resource(resource);
        Ok(Self(Some(builder.with_log_processor(processor).build())))
    }

    /// The layer that feeds log lines in, those that `filter`, in `RUST_LOG`'s syntax, lets through.
    pub(crate) fn layer<S>(
        &self,
        filter: Option<&str>,
    ) -> Result<Option<impl Layer<S> + Send + Sync + use<S>>, ParseError>
    where
        S: Subscriber + for<'span> LookupSpan<'span> + Send + Sync,
    {
        let Some(provider) = &self.0 else {
            return Ok(None);
        };
        let filter = EnvFilter::try_new(filter.unwrap_or(DEFAULT_FILTER))?;
        let not_of_ours = filter_fn(|event| {
            let target = event.target();
            let crate_name = target.split("::").next().unwrap_or(target);
            !NOT_EXPORTED.iter().any(|name| crate_name.starts_with(name))
        });
        let bridge = OpenTelemetryTracingBridge::new(provider);
        Ok(Some(bridge.with_filter(filter.and(not_of_ours))))
    }

    /// Sends out what waits. Blocks for at most `limit`.
    pub(crate) fn shutdown(&self, limit: Duration) {
        if let Some(provider) = &self.0
            && let Err(error) = provider.shutdown_with_timeout(limit)
        {
            tracing::debug!(%error, "the last log lines could not be exported");
        }
    }
}

fn otlp(protocol: Protocol) -> Result<opentelemetry_otlp::LogExporter, InitError> {
    let builder = opentelemetry_otlp::LogExporter::builder();
    let exporter = match protocol {
        Protocol::Grpc => builder.with_tonic().build(),
        Protocol::HttpProtobuf => builder
            .with_http()
            .with_protocol(opentelemetry_otlp::Protocol::HttpBinary)
            .build(),
    };
    Ok(exporter?)
}

fn batch<E: LogExporter + 'static>(exporter: E, runtime: &Handle) -> BatchLogProcessor {
    let config = BatchConfigBuilder::default().with_scheduled_delay(SCHEDULE_DELAY);
    let exporter = InRuntime {
        inner: exporter,
        runtime: runtime.clone(),
    };
    BatchLogProcessor::builder(exporter)
        .with_batch_config(config.build())
        .build()
}

/// Runs the exporter in the Tokio runtime: the batch processor calls it from a plain thread, where
/// reqwest finds no runtime and panics.
struct InRuntime<E> {
    inner: E,
    runtime: Handle,
}

impl<E: LogExporter> LogExporter for InRuntime<E> {
    async fn export(&self, batch: LogBatch<'_>) -> OTelSdkResult {
        TokioContext::new(self.inner.export(batch), self.runtime.clone()).await
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}

impl<E> fmt::Debug for InRuntime<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InRuntime").finish_non_exhaustive()
    }
}
