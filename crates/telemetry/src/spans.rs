//! `tracing` spans become OpenTelemetry spans.
//!
//! Spans only: what is logged inside a span is not copied to it. A log line names its trace and span, so
//! the two are joined by id, and `tracing::error!` can't turn a span into a failed one behind the back of
//! whoever sets its status.

use opentelemetry::trace::Tracer;
use tracing::{Subscriber, level_filters::LevelFilter};
use tracing_subscriber::{
    Layer,
    filter::{FilterExt, Targets, filter_fn},
    registry::LookupSpan,
};

/// The crates that carry our requests and exports. A span of theirs would be exported, which makes
/// another one, and so on.
const OFF: [&str; 5] = ["h2", "hyper", "tonic", "reqwest", "opentelemetry"];

/// The layer that makes spans with `tracer`; [`crate::init`] uses it, and so can a test with a tracer
/// of its own. It has its own filter: `RUST_LOG=warn` is for log lines, and must not break a trace.
///
/// All that the layer would add of its own accord is off: code location, thread, target, level and
/// idle times cost half as much again as the span itself, and nobody has asked for them.
pub fn layer<S, T>(tracer: T) -> impl Layer<S> + Send + Sync
where
    S: Subscriber + for<'span> LookupSpan<'span> + Send + Sync,
    T: Tracer + Send + Sync + 'static,
    T::Span: Send + Sync,
{
    let targets = Targets::new()
        .with_default(LevelFilter::INFO)
        .with_targets(OFF.map(|target| (target, LevelFilter::OFF)));
    tracing_opentelemetry::layer()
        .with_tracer(tracer)
        .with_location(false)
        .with_threads(false)
        .with_tracked_inactivity(false)
        .with_target(false)
        .with_level(false)
        .with_filter(targets.and(filter_fn(|span| span.is_span())))
}
