//! From configuration to a running pipeline: sampler, processors, batch, exporter.

use std::sync::Arc;
use std::time::Duration;

use opentelemetry::trace::TracerProvider as _;
use opentelemetry::trace::noop::NoopTracer;
use opentelemetry::{InstrumentationScope, global};
use opentelemetry_otlp::WithExportConfig;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, SdkTracerProvider, SpanExporter,
};
use opentelemetry_semantic_conventions::SCHEMA_URL;
use tokio::runtime::Handle;
use tracing::Subscriber;
use tracing_subscriber::{Layer, registry::LookupSpan};

use crate::baggage::BaggageAttributes;
use crate::config::{Config, Exporter, Protocol};
use crate::export::{self, Processor, Tally};
use crate::{InitError, Service, sampling, spans};

/// How long a finished span waits for others before it is sent, if `OTEL_BSP_SCHEDULE_DELAY` does not
/// say. The SDK's 5 seconds are long for someone who waits for a trace, and all that waits is lost with a
/// process that is killed.
const SCHEDULE_DELAY: Duration = Duration::from_millis(500);

/// What spans go through. Without a provider (`OTEL_SDK_DISABLED`) nothing is recorded.
#[derive(Debug)]
pub(crate) struct Pipeline {
    provider: Option<SdkTracerProvider>,
    tally: Arc<Tally>,
}

impl Pipeline {
    pub(crate) fn build(
        service: &Service,
        config: &Config,
        resource: Resource,
        runtime: &Handle,
    ) -> Result<Self, InitError> {
        let tally = Arc::default();
        if config.disabled {
            let provider = None;
            return Ok(Self { provider, tally });
        }
        let mut builder = SdkTracerProvider::builder().with_resource(resource);
        if !service.trust_remote_sampling {
            builder = builder.with_sampler(sampling::own_decision());
        }
        let baggage = BaggageAttributes(service.baggage_attributes);
        let builder = match batch(config, runtime, &tally)? {
            None => builder.with_span_processor(baggage),
            Some(batch) => builder.with_span_processor(Processor {
                baggage,
                tally: Arc::clone(&tally),
                batch,
            }),
        };
        let provider = Some(builder.build());
        Ok(Self { provider, tally })
    }

    /// The layer that feeds `tracing` spans in. The no-op tracer makes none of its own, but hands on the
    /// context that came in, so that a service with tracing off does not break the traces of others.
    pub(crate) fn layer<S>(&self) -> Box<dyn Layer<S> + Send + Sync>
    where
        S: Subscriber + for<'span> LookupSpan<'span> + Send + Sync,
    {
        match &self.provider {
            Some(provider) => spans::layer(provider.tracer_with_scope(scope())).boxed(),
            None => spans::layer(NoopTracer::new()).boxed(),
        }
    }

    /// Makes the provider the one that the OpenTelemetry API finds, for code that does without `tracing`.
    pub(crate) fn publish(&self) {
        if let Some(provider) = &self.provider {
            global::set_tracer_provider(provider.clone());
        }
    }

    /// Sends out what waits, and tells what did not arrive. Blocks for at most `limit`.
    pub(crate) fn shutdown(&self, limit: Duration) {
        if let Some(provider) = &self.provider
            && let Err(error) = provider.shutdown_with_timeout(limit)
        {
            tracing::debug!(%error, "the last spans could not be flushed");
        }
        self.tally.close();
    }
}

/// The way out, if there is to be one.
fn batch(
    config: &Config,
    runtime: &Handle,
    tally: &Arc<Tally>,
) -> Result<Option<BatchSpanProcessor>, InitError> {
    let console = opentelemetry_stdout::SpanExporter::default;
    Ok(match config.exporter {
        Exporter::None => None,
        Exporter::Console => Some(batch_to(console(), config, runtime, tally)),
        Exporter::Otlp => Some(batch_to(otlp(config.protocol)?, config, runtime, tally)),
    })
}

/// Endpoint, headers, timeout and compression are the exporter's to read from the environment.
fn otlp(protocol: Protocol) -> Result<opentelemetry_otlp::SpanExporter, InitError> {
    let builder = opentelemetry_otlp::SpanExporter::builder();
    let exporter = match protocol {
        Protocol::Grpc => builder.with_tonic().build(),
        Protocol::HttpProtobuf => builder
            .with_http()
            .with_protocol(opentelemetry_otlp::Protocol::HttpBinary)
            .build(),
    };
    Ok(exporter?)
}

fn batch_to<E: SpanExporter + 'static>(
    exporter: E,
    config: &Config,
    runtime: &Handle,
    tally: &Arc<Tally>,
) -> BatchSpanProcessor {
    let mut batch = BatchConfigBuilder::default();
    if !config.has_schedule_delay {
        batch = batch.with_scheduled_delay(SCHEDULE_DELAY);
    }
    let exporter = export::Exporter::new(exporter, runtime.clone(), Arc::clone(tally));
    BatchSpanProcessor::builder(exporter)
        .with_batch_config(batch.build())
        .build()
}

fn scope() -> InstrumentationScope {
    InstrumentationScope::builder(env!("CARGO_PKG_NAME"))
        .with_version(env!("CARGO_PKG_VERSION"))
        .with_schema_url(SCHEMA_URL)
        .build()
}
