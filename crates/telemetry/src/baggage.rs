//! Baggage that shows on spans.
//!
//! Baggage travels with the trace context, from process to process, but nothing of it appears on a span
//! by itself. This processor copies chosen entries to every span that is started under them. So an id
//! is put into the baggage once, where it becomes known, and all that follows can be found by it,
//! without a word about it in the code that follows.

use std::time::Duration;

use opentelemetry::baggage::BaggageExt;
use opentelemetry::trace::Span as _;
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{Span, SpanData, SpanProcessor};

/// Copies the named baggage entries to every started span. Only the named ones: baggage comes over the
/// network, and what else is in it is nobody's business.
#[derive(Clone, Copy, Debug)]
pub struct BaggageAttributes(pub &'static [&'static str]);

impl SpanProcessor for BaggageAttributes {
    fn on_start(&self, span: &mut Span, parent: &Context) {
        let baggage = parent.baggage();
        for key in self.0 {
            if let Some(value) = baggage.get(key) {
                span.set_attribute(KeyValue::new(*key, value.clone()));
            }
        }
    }

    fn on_end(&self, _span: SpanData) {}

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _timeout: Duration) -> OTelSdkResult {
        Ok(())
    }
}
