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
use tracing::subscriber::NoSubscriber;

/// The sampler of `OTEL_TRACES_SAMPLER`, deaf to what remote parents say.
pub(crate) fn own_decision() -> impl ShouldSample {
    // The SDK reads the variable again for the provider, and complains then if there is a reason to.
    let read = || opentelemetry_sdk::trace::Config::default().sampler;
    OwnDecision(tracing::subscriber::with_default(NoSubscriber::new(), read))
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

#[cfg(test)]
mod tests {
    use opentelemetry::trace::{SpanContext, SpanId, TraceFlags, TraceState};
    use opentelemetry_sdk::trace::{Sampler, SamplingDecision};

    use super::*;

    const TRACE: TraceId = TraceId::from_bytes([1; 16]);

    fn parent(sampled: bool, remote: bool) -> Context {
        let state = TraceState::from_key_value([("vendor", "value")]).unwrap();
        let flags = TraceFlags::default().with_sampled(sampled);
        let span = SpanContext::new(TRACE, SpanId::from_bytes([2; 8]), flags, remote, state);
        Context::new().with_remote_span_context(span)
    }

    fn decide(root: Sampler, parent: &Context) -> SamplingResult {
        let sampler = OwnDecision(Box::new(Sampler::ParentBased(Box::new(root))));
        sampler.should_sample(Some(parent), TRACE, "span", &SpanKind::Server, &[], &[])
    }

    #[test]
    fn a_remote_flag_is_ignored_and_a_local_one_followed() {
        use SamplingDecision::{Drop, RecordAndSample};
        let cases = [
            (Sampler::AlwaysOn, parent(false, true), RecordAndSample),
            (Sampler::AlwaysOn, parent(true, true), RecordAndSample),
            (Sampler::AlwaysOff, parent(true, true), Drop),
            (Sampler::AlwaysOn, parent(false, false), Drop),
            (Sampler::AlwaysOff, parent(true, false), RecordAndSample),
            (Sampler::AlwaysOn, Context::new(), RecordAndSample),
        ];
        for (root, parent, decision) in cases {
            assert_eq!(
                decide(root.clone(), &parent).decision,
                decision,
                "{root:?} {parent:?}"
            );
        }
    }

    #[test]
    fn the_state_of_a_remote_trace_is_kept() {
        let state = decide(Sampler::AlwaysOn, &parent(false, true)).trace_state;
        assert_eq!(state.get("vendor"), Some("value"));
    }
}
