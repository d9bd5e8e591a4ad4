//! Propagators for the two W3C formats, stricter than the SDK's.
//!
//! [`crate::init`] installs those that `OTEL_PROPAGATORS` names. A program that does without `init`
//! installs them itself:
//!
//! ```
//! use opentelemetry::{global, propagation::TextMapCompositePropagator};
//! use telemetry::w3c::{BaggagePropagator, TraceContextPropagator};
//!
//! global::set_text_map_propagator(TextMapCompositePropagator::new(vec![
//!     Box::new(TraceContextPropagator),
//!     Box::new(BaggagePropagator),
//! ]));
//! ```

mod baggage;
mod trace_context;

pub use baggage::BaggagePropagator;
pub use trace_context::{TraceContextPropagator, parse_traceparent};
pub(crate) use trace_context::{format_traceparent, outgoing_span_context};

/// Optional whitespace, as HTTP allows it around a value (RFC 9110, `OWS`).
const OWS: [char; 2] = [' ', '\t'];
