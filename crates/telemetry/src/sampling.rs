//! Who decides whether a trace is recorded.
//!
//! Normally the caller does: `parentbased_*` samplers, the default among them, follow the sampled flag
//! of the incoming `traceparent`. At a public door the caller is a stranger, and the flag would let it
//! switch our tracing off, or fill our storage. There, [`OwnDecision`] asks the configured sampler as if
//! the request were the first span of its trace. The stranger's trace id stays, so that its own trace
//! and ours can still be joined. (A ratio sampler decides by the trace id; who can choose that can still
//! get in by trying.)

use opentelemetry::trace::{Link, SpanKind, TraceContextExt, TraceId};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::trace::{SamplingResult, ShouldSample};

/// The sampler of `OTEL_TRACES_SAMPLER`, as the SDK reads it.
pub(crate) fn sampler(trust_remote: bool) -> Box<dyn ShouldSample> {
    let configured = opentelemetry_sdk::trace::Config::default().sampler;
    if trust_remote {
        configured
    } else {
        Box::new(OwnDecision(configured))
    }
}

/// Hides remote parents from the sampler inside. Parents in this process are followed as ever.
#[derive(Clone, Debug)]
struct OwnDecision(Box<dyn ShouldSample>);

impl ShouldSample for OwnDecision {
    fn should_sample(
        &self,
        parent: Option<&Context>,
        trace_id: TraceId,
        name: &str,
        kind: &SpanKind,
        attributes: &[KeyValue],
        links: &[Link],
    ) -> SamplingResult {
        let ask = |parent| {
            self.0
                .should_sample(parent, trace_id, name, kind, attributes, links)
        };
        match parent.filter(|parent| parent.span().span_context().is_remote()) {
            None => ask(parent),
            Some(stranger) => SamplingResult {
                trace_state: stranger.span().span_context().trace_state().clone(),
                ..ask(None)
            },
        }
    }
}
