//! Copies baggage entries to spans, as attributes.
//!
//! Baggage travels with the trace context from process to process, but spans do not show it. With this
//! processor, an id that is put into the baggage once becomes an attribute of every span that is started
//! after it, in every process that the request reaches. The code that starts these spans need not know
//! the id.

use std::time::Duration;

use opentelemetry::baggage::BaggageExt;
use opentelemetry::trace::Span as _;
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{Span, SpanData, SpanProcessor};

/// Copies the named baggage entries to every span that starts. Other entries are not copied, because
/// baggage comes over the network and may contain personal data.
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
