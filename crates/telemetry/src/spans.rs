//! Makes OpenTelemetry spans of `tracing` spans.
//!
//! Log lines are not copied to the span in which they are written; each names its trace and span instead.
//! So `tracing::error!` does not change the status of a span.

use opentelemetry::trace::Tracer;
use tracing::{Subscriber, level_filters::LevelFilter};
use tracing_subscriber::{
    Layer,
    filter::{FilterExt, Targets, filter_fn},
    registry::LookupSpan,
};

/// The crates that send our requests and exports. If their spans were exported, each export would make
/// further spans.
const OFF: [&str; 5] = ["h2", "hyper", "tonic", "reqwest", "opentelemetry"];

/// The layer that makes spans with `tracer`. [`crate::init`] uses it, and so can a test with a tracer of
/// its own. It has a filter of its own, so that `RUST_LOG=warn` drops log lines but no spans.
///
/// The attributes that tracing-opentelemetry adds by default are switched off, because code location,
/// thread, target, level and idle times add about 40 % to the cost of a span.
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
