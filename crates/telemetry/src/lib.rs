//! Traces over OTLP, and the spans of HTTP servers, HTTP clients and PostgreSQL.
//!
//! [`init`] reads the standard `OTEL_*` variables and sets up, for the whole process: a tracer provider
//! that exports in batches, the propagators that carry a trace from process to process, and log lines
//! with trace ids. The [`Guard`] that it returns exports the remaining spans and log lines at shutdown.
//!
//! | To see | look at |
//! |---|---|
//! | which variables are read | `config.rs`, `resource.rs` |
//! | how spans are exported, and what happens during an outage | `provider.rs`, `export.rs` |
//! | how log lines are printed and exported | `logs.rs`, `log_export.rs` |
//! | how `tracing` spans become OpenTelemetry spans | [`spans`] |
//! | how a trace enters and leaves over HTTP | [`http_server`], [`http_client`] |
//! | how `traceparent`, `tracestate` and `baggage` are read and written | [`w3c`] |
//! | how a statement becomes a span | [`sql`] |
//! | how a handler gets its trace id or adds baggage | [`context`], [`baggage`] |
//! | how a test captures spans | `testing.rs` |
//!
//! Metrics are not supported. Messaging has a crate of its own.

mod causes;
mod config;
mod export;
mod log_export;
mod logs;
mod method;
mod provider;
mod redact;
mod resource;
mod sampling;

pub mod baggage;
pub mod context;
pub mod http_client;
pub mod http_server;
pub mod spans;
pub mod sql;
#[cfg(feature = "testing")]
pub mod testing;
pub mod w3c;

use std::time::{Duration, Instant};

use config::Config;
use log_export::LogPipeline;
use opentelemetry::{global, propagation::TextMapCompositePropagator};
use provider::Pipeline;
use tokio::runtime::Handle;
use tracing_subscriber::layer::SubscriberExt;

/// How long [`Guard::shutdown`] may take. Together with 8 seconds for requests in flight these are the 10
/// seconds that Docker leaves a process between SIGTERM and SIGKILL.
const FLUSH_LIMIT: Duration = Duration::from_secs(2);

/// How long the flush of log lines may take even if the flush of spans has used up the limit.
const MIN_LOG_FLUSH: Duration = Duration::from_millis(200);

/// The service that sends the telemetry, and its two policies.
#[derive(Clone, Copy, Debug)]
pub struct Service {
    /// `service.name`, unless `OTEL_SERVICE_NAME` or `OTEL_RESOURCE_ATTRIBUTES` gives another.
    pub name: &'static str,
    /// `service.namespace`: the system to which the service belongs.
    pub namespace: &'static str,
    /// `service.version`.
    pub version: &'static str,
    /// Keys of the baggage entries that become attributes of every span; see [`baggage`].
    pub baggage_attributes: &'static [&'static str],
    /// Whether the sampler sees the caller's sampled flag. A public service should not trust it: any
    /// client could switch tracing off for its requests, or on for all of them.
    pub trust_remote_sampling: bool,
}

/// Why telemetry could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// The exporter can't use the endpoint or a header.
    #[error("the span exporter can't be built: {0}")]
    Exporter(#[from] opentelemetry_otlp::ExporterBuildError),
    /// `RUST_LOG` does not parse.
    #[error("RUST_LOG: {0}")]
    LogFilter(#[from] tracing_subscriber::filter::ParseError),
    /// [`init`] was called outside of a Tokio runtime.
    #[error("telemetry needs a Tokio runtime to export in: {0}")]
    NoRuntime(#[from] tokio::runtime::TryCurrentError),
    /// The process already has a global `tracing` subscriber.
    #[error("telemetry is already set up in this process")]
    AlreadySet(#[from] tracing::subscriber::SetGlobalDefaultError),
}

/// Sets up spans, propagation and logs for the whole process. Call it once, inside a Tokio runtime with
/// I/O and time enabled, which the exporters use for their connections.
///
/// # Errors
/// See [`InitError`]. A variable with an unknown value is no error; it is ignored with a warning.
pub fn init(service: &Service) -> Result<Guard, InitError> {
    let runtime = Handle::try_current()?;
    let config = Config::from_env(|name| std::env::var(name).ok());
    let resource = resource::describe(service, &config);
    let log_layer = || {
        logs::layer(
            resource::service_name(&resource),
            config.log_filter.as_deref(),
        )
    };

    // The SDK logs warnings about its own variables while it is being built. There is no global
    // subscriber yet, so these warnings need one of their own.
    let early = tracing_subscriber::registry().with(log_layer()?);
    let pipeline = tracing::subscriber::with_default(early, || {
        Pipeline::build(service, &config, resource.clone(), &runtime)
    })?;
    let log_pipeline = LogPipeline::build(&config, resource.clone(), &runtime)?;

    let subscriber = tracing_subscriber::registry()
        .with(log_layer()?)
        .with(log_pipeline.layer(config.log_filter.as_deref())?)
        .with(pipeline.layer());
    tracing::subscriber::set_global_default(subscriber)?;
    global::set_text_map_propagator(TextMapCompositePropagator::new(config.propagators()));
    pipeline.publish();

    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    Ok(Guard {
        pipeline,
        log_pipeline,
    })
}

/// Keeps telemetry running. Shut it down last, after everything that makes spans.
#[must_use = "waiting spans are lost unless shutdown() is called"]
#[derive(Debug)]
pub struct Guard {
    pipeline: Pipeline,
    log_pipeline: LogPipeline,
}

impl Guard {
    /// Exports the waiting spans and log lines, within two seconds, and logs how many were lost. Spans that
    /// end later are dropped.
    pub async fn shutdown(self) {
        // On a thread of its own, because it blocks while the runtime has to drive the export.
        let (spans, logs) = (self.pipeline, self.log_pipeline);
        let flushed = tokio::task::spawn_blocking(move || {
            let start = Instant::now();
            spans.shutdown(FLUSH_LIMIT);
            // Log lines last, because one of them may be about lost spans.
            let left = FLUSH_LIMIT.saturating_sub(start.elapsed());
            logs.shutdown(left.max(MIN_LOG_FLUSH));
        });
        if let Err(error) = flushed.await {
            tracing::warn!(%error, "telemetry did not stop cleanly");
        }
    }
}
