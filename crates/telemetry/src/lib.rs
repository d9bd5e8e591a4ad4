//! Traces over OTLP, and the spans of HTTP servers, HTTP clients and PostgreSQL.
//!
//! [`init`] reads the standard `OTEL_*` variables and sets up, for the whole process: a tracer
//! provider that exports in batches, the propagators that carry a trace from process to process, and
//! log lines that name the trace they belong to. The [`Guard`] it returns sends out what is left when
//! the process ends.
//!
//! | To see | look at |
//! |---|---|
//! | which variables there are | `config.rs` |
//! | how spans leave the process, and what happens when they can't | `provider.rs`, `export.rs` |
//! | how log lines leave it | `logs.rs`, `log_export.rs` |
//! | how `tracing` becomes OpenTelemetry | [`spans`] |
//! | a trace entering and leaving over HTTP | [`http_server`], [`http_client`] |
//! | a statement as a span | [`sql`] |
//! | the trace id inside a handler, baggage | [`context`], [`baggage`] |
//! | spans in a test | `testing.rs` |
//!
//! Not here: metrics, and messaging, which has a crate of its own. This crate knows
//! nothing of what the services around it are about.

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

use std::time::{Duration, Instant};

use config::Config;
use log_export::LogPipeline;
use opentelemetry::{global, propagation::TextMapCompositePropagator};
use provider::Pipeline;
use tokio::runtime::Handle;
use tracing_subscriber::layer::SubscriberExt;

/// How long [`Guard::shutdown`] may take. With 8 seconds for the work in hand it makes the 10 seconds
/// that Docker leaves a process between SIGTERM and SIGKILL.
const FLUSH_LIMIT: Duration = Duration::from_secs(2);

/// What the last log lines get of that in any case.
const LAST_LINES: Duration = Duration::from_millis(200);

/// What a process says of itself, and the two policies it may choose.
#[derive(Clone, Copy, Debug)]
pub struct Service {
    /// `service.name`, unless `OTEL_SERVICE_NAME` or `OTEL_RESOURCE_ATTRIBUTES` gives another.
    pub name: &'static str,
    /// `service.namespace`: the system that the service is a part of.
    pub namespace: &'static str,
    /// `service.version`.
    pub version: &'static str,
    /// Baggage entries that become attributes of every span started under them.
    pub baggage_attributes: &'static [&'static str],
    /// Whether a caller's sampled flag decides here as well. At a public door it should not: a stranger
    /// could switch tracing off for its requests, or on for all of them.
    pub trust_remote_sampling: bool,
}

/// Why telemetry could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// The endpoint, a certificate or a header is not one that the exporter can use.
    #[error("the span exporter can't be built: {0}")]
    Exporter(#[from] opentelemetry_otlp::ExporterBuildError),
    /// `RUST_LOG` does not parse.
    #[error("RUST_LOG: {0}")]
    LogFilter(#[from] tracing_subscriber::filter::ParseError),
    /// [`init`] was called outside of a Tokio runtime.
    #[error("telemetry needs a Tokio runtime to export in: {0}")]
    NoRuntime(#[from] tokio::runtime::TryCurrentError),
    /// Someone else has set a global subscriber already; there can be one only.
    #[error("telemetry is already set up in this process")]
    AlreadySet(#[from] tracing::subscriber::SetGlobalDefaultError),
}

/// Sets up spans, propagation and logs for the whole process. To be called once, inside a Tokio
/// runtime, which the exporter uses for its connections.
///
/// # Errors
/// See [`InitError`]. A variable with an unknown value is no error: see `config.rs`.
pub fn init(service: &Service) -> Result<Guard, InitError> {
    let runtime = Handle::try_current()?;
    let config = Config::from_env(|name| std::env::var(name).ok());
    let resource = resource::describe(service);
    let log_layer = || {
        logs::layer(
            resource::service_name(&resource),
            config.log_filter.as_deref(),
        )
    };

    // The SDK complains about its own variables while it is being built, before there is a global
    // subscriber that could print it.
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

/// Keeps telemetry running; the last thing that a process gives up.
#[must_use = "spans still waiting are lost unless shutdown() is called"]
#[derive(Debug)]
pub struct Guard {
    pipeline: Pipeline,
    log_pipeline: LogPipeline,
}

impl Guard {
    /// Sends out the spans and log lines that are still waiting, within two seconds, and tells in one log line how
    /// many never arrived. Spans that end later are dropped.
    pub async fn shutdown(self) {
        // On a thread of its own: it blocks, and the runtime has to go on to carry the export.
        let (spans, logs) = (self.pipeline, self.log_pipeline);
        let flushed = tokio::task::spawn_blocking(move || {
            let begun = Instant::now();
            spans.shutdown(FLUSH_LIMIT);
            // Log lines last, since there may be one about lost spans; in the time that is left.
            let left = FLUSH_LIMIT.saturating_sub(begun.elapsed());
            logs.shutdown(left.max(LAST_LINES));
        });
        if let Err(error) = flushed.await {
            tracing::warn!(%error, "telemetry did not stop cleanly");
        }
    }
}
