//! Builds the span pipeline from the configuration: sampler, processors, batch, exporter.

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
use crate::export::{self, Processor, Runner, Tally};
use crate::{InitError, Service, sampling, spans};

/// Records and exports spans. Without a provider (`OTEL_SDK_DISABLED`) it records nothing.
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
        let tally = Tally::of("spans");
        if config.disabled {
            let provider = None;
            return Ok(Self { provider, tally });
        }
        let mut builder = SdkTracerProvider::builder().with_resource(resource);
        if !service.trust_remote_sampling {
            builder = builder.with_sampler(sampling::ignoring_remote_parents());
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

    /// The layer that makes OpenTelemetry spans of `tracing` spans. If spans are disabled, it uses the no-op
    /// tracer, which passes on the incoming context: the traces of other services stay whole.
    pub(crate) fn layer<S>(&self) -> Box<dyn Layer<S> + Send + Sync>
    where
        S: Subscriber + for<'span> LookupSpan<'span> + Send + Sync,
    {
        match &self.provider {
            Some(provider) => spans::layer(provider.tracer_with_scope(scope())).boxed(),
            None => spans::layer(NoopTracer::new()).boxed(),
        }
    }

    /// Makes the provider the global one, for code that uses the OpenTelemetry API without `tracing`.
    pub(crate) fn publish(&self) {
        if let Some(provider) = &self.provider {
            global::set_tracer_provider(provider.clone());
        }
    }

    /// Exports the waiting spans, and logs how many were lost. Blocks for at most `limit`.
    pub(crate) fn shutdown(&self, limit: Duration) {
        if let Some(provider) = &self.provider
            && let Err(error) = provider.shutdown_with_timeout(limit)
        {
            tracing::debug!(%error, "the last spans could not be exported");
        }
        self.tally.report_losses();
    }
}

/// The batch processor, or `None` if spans are not to be exported.
fn batch(
    config: &Config,
    runtime: &Handle,
    tally: &Arc<Tally>,
) -> Result<Option<BatchSpanProcessor>, InitError> {
    let runner = Runner {
        runtime: runtime.clone(),
        timeout: config.span_batching.timeout,
        tally: Arc::clone(tally),
    };
    let delay = config.span_batching.delay;
    let console = opentelemetry_stdout::SpanExporter::default;
    Ok(match config.exporter {
        Exporter::None => None,
        Exporter::Console => Some(batch_to(console(), runner, delay)),
        Exporter::Otlp => Some(batch_to(otlp(config.protocol)?, runner, delay)),
    })
}

/// The exporter itself reads endpoint, headers, timeout and compression from the environment.
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
    inner: E,
    runner: Runner,
    delay: Duration,
) -> BatchSpanProcessor {
    let config = BatchConfigBuilder::default().with_scheduled_delay(delay);
    BatchSpanProcessor::builder(export::Exporter { inner, runner })
        .with_batch_config(config.build())
        .build()
}

fn scope() -> InstrumentationScope {
    InstrumentationScope::builder(env!("CARGO_PKG_NAME"))
        .with_version(env!("CARGO_PKG_VERSION"))
        .with_schema_url(SCHEMA_URL)
        .build()
}
