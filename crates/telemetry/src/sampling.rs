//! Decides whether a trace is recorded, without asking an untrusted caller.
//!
//! `parentbased_*` samplers, the default among them, follow the sampled flag of the incoming `traceparent`.
//! In a public service an unknown caller could use that flag to switch our tracing off, or to fill our
//! storage. There, [`IgnoreRemoteParents`] asks the configured sampler as if the request were the first
//! span of its trace. The caller's trace id is kept, so that its own spans and ours are still one trace. (A
//! ratio sampler decides by the trace id, so a caller can still choose an id that is sampled.)

use opentelemetry::trace::{Link, SpanKind, TraceContextExt, TraceId};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::trace::{SamplingResult, ShouldSample};
use tracing::subscriber::NoSubscriber;

/// The sampler of `OTEL_TRACES_SAMPLER`, without remote parents.
pub(crate) fn ignoring_remote_parents() -> impl ShouldSample {
    // Without a subscriber, because the SDK reads the variable again for the provider, and logs a warning
    // about an unknown value then.
    let read = || opentelemetry_sdk::trace::Config::default().sampler;
    IgnoreRemoteParents(tracing::subscriber::with_default(NoSubscriber::new(), read))
}

/// Hides remote parents from the inner sampler. Parents in this process are passed to it.
#[derive(Clone, Debug)]
struct IgnoreRemoteParents(Box<dyn ShouldSample>);

impl ShouldSample for IgnoreRemoteParents {
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
            Some(remote) => SamplingResult {
                trace_state: remote.span().span_context().trace_state().clone(),
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
        let sampler = IgnoreRemoteParents(Box::new(Sampler::ParentBased(Box::new(root))));
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
