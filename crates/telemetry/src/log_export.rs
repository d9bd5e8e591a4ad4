//! Exports log lines over OTLP, besides printing them to standard output.
//!
//! Each exported line carries the ids of the trace and span in which it was written, so that a viewer
//! can show it there. The exported lines are the printed ones, without those of the exporters and the
//! libraries under them: exporting such a line would write further ones.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use opentelemetry::InstrumentationScope;
use opentelemetry_appender_tracing::layer::OpenTelemetryTracingBridge;
use opentelemetry_otlp::WithExportConfig;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::logs::{
    BatchConfigBuilder, BatchLogProcessor, LogBatch, LogExporter, LogProcessor, SdkLogRecord,
    SdkLoggerProvider,
};
use tokio::runtime::Handle;
use tracing::Subscriber;
use tracing_subscriber::filter::{EnvFilter, FilterExt, ParseError, filter_fn};
use tracing_subscriber::{Layer, registry::LookupSpan};

use crate::InitError;
use crate::config::{Config, Exporter, Protocol};
use crate::export::{Runner, Tally};
use crate::logs::DEFAULT_FILTER;

/// The crates that log while something is exported.
const NOT_EXPORTED: [&str; 6] = ["opentelemetry", "h2", "hyper", "tonic", "tower", "reqwest"];

/// Exports log lines. Without a provider (`OTEL_LOGS_EXPORTER=none`) it does nothing.
#[derive(Debug)]
pub(crate) struct LogPipeline {
    provider: Option<SdkLoggerProvider>,
    tally: Arc<Tally>,
}

impl LogPipeline {
    pub(crate) fn build(
        config: &Config,
        resource: Resource,
        runtime: &Handle,
    ) -> Result<Self, InitError> {
        let tally = Tally::of("log lines");
        let processor = processor(config, runtime, &tally)?;
        let provider = processor.map(|processor| {
            SdkLoggerProvider::builder()
                .with_resource(resource)
                .with_log_processor(processor)
                .build()
        });
        Ok(Self { provider, tally })
    }

    /// The layer that takes the log lines which `filter`, in `RUST_LOG`'s syntax, lets through.
    pub(crate) fn layer<S>(
        &self,
        filter: Option<&str>,
    ) -> Result<Option<impl Layer<S> + Send + Sync + use<S>>, ParseError>
    where
        S: Subscriber + for<'span> LookupSpan<'span> + Send + Sync,
    {
        let Some(provider) = &self.provider else {
            return Ok(None);
        };
        let filter = EnvFilter::try_new(filter.unwrap_or(DEFAULT_FILTER))?;
        let is_exported = filter_fn(|event| {
            let target = event.target();
            let crate_name = target.split("::").next().unwrap_or(target);
            !NOT_EXPORTED.iter().any(|name| crate_name.starts_with(name))
        });
        let bridge = OpenTelemetryTracingBridge::new(provider);
        Ok(Some(bridge.with_filter(filter.and(is_exported))))
    }

    /// Exports the waiting lines, and logs how many were lost. Blocks for at most `limit`.
    pub(crate) fn shutdown(&self, limit: Duration) {
        if let Some(provider) = &self.provider
            && let Err(error) = provider.shutdown_with_timeout(limit)
        {
            tracing::debug!(%error, "the last log lines could not be exported");
        }
        self.tally.report_losses();
    }
}

/// The batch processor, or `None` if log lines are not to be exported.
fn processor(
    config: &Config,
    runtime: &Handle,
    tally: &Arc<Tally>,
) -> Result<Option<Processor>, InitError> {
    let runner = Runner {
        runtime: runtime.clone(),
        timeout: config.log_batching.timeout,
        tally: Arc::clone(tally),
    };
    let delay = config.log_batching.delay;
    let console = opentelemetry_stdout::LogExporter::default;
    Ok(match config.logs_exporter {
        _ if config.disabled => None,
        Exporter::None => None,
        Exporter::Console => Some(Processor::new(console(), runner, delay)),
        Exporter::Otlp => Some(Processor::new(otlp(config.logs_protocol)?, runner, delay)),
    })
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

/// Counts a log line, and passes it to the batch.
#[derive(Debug)]
struct Processor {
    tally: Arc<Tally>,
    batch: BatchLogProcessor,
}

impl Processor {
    fn new<E: LogExporter + 'static>(inner: E, runner: Runner, delay: Duration) -> Self {
        let tally = Arc::clone(&runner.tally);
        let config = BatchConfigBuilder::default().with_scheduled_delay(delay);
        let batch = BatchLogProcessor::builder(RunExporter { inner, runner })
            .with_batch_config(config.build())
            .build();
        Self { tally, batch }
    }
}

impl LogProcessor for Processor {
    fn emit(&self, record: &mut SdkLogRecord, scope: &InstrumentationScope) {
        self.tally.record();
        self.batch.emit(record, scope);
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

/// A log exporter whose calls go through a [`Runner`].
struct RunExporter<E> {
    inner: E,
    runner: Runner,
}

impl<E: LogExporter> LogExporter for RunExporter<E> {
    async fn export(&self, batch: LogBatch<'_>) -> OTelSdkResult {
        let len = batch.iter().count();
        self.runner.run(len, self.inner.export(batch)).await
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}

impl<E> fmt::Debug for RunExporter<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunExporter").finish_non_exhaustive()
    }
}
