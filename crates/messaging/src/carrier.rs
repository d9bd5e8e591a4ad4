//! Step one: Kafka headers as a carrier of trace context.
//!
//! OpenTelemetry's propagators know nothing of Kafka. They write through an [`Injector`] and read through an
//! [`Extractor`], and these two adapters are all that Kafka needs to become a transport for `traceparent`,
//! `tracestate` and `baggage`. Which headers there are, and what they look like, is the propagator's business.
//!
//! Kafka allows a name to appear many times, and a value to be null or any bytes. So:
//! - to set is to *replace*. Appending would leave the old `traceparent` of a message that is sent on in front of the
//!   new one, and a reader that takes the first would continue the wrong span;
//! - to get is to take the *last* of a name, as OpenTelemetry's Java agent does, since what was added last is the most
//!   recent. Of several `traceparent` the last *valid* one counts, and all `tracestate` are one list;
//! - a value that is null or no UTF-8 counts as absent;
//! - names match in any case, since some senders write `Traceparent`.

use opentelemetry::{
    Context, global,
    propagation::{Extractor, Injector},
};
use rdkafka::message::{Message, OwnedHeaders};

use crate::{
    headers::{self, MessageHeaders},
    traceparent,
};

/// Writes `context` into `headers`, with the global propagator.
///
/// Every field that the propagator can write is removed first: otherwise the `tracestate` of an earlier send would
/// travel on beside a new `traceparent`.
pub fn inject(context: &Context, headers: &mut OwnedHeaders) {
    global::get_text_map_propagator(|propagator| {
        for field in propagator.fields() {
            headers::remove(headers, field);
        }
        propagator.inject_context(context, &mut HeaderInjector(headers));
    });
}

/// Reads the context that a message carries, with the global propagator.
///
/// Without a valid context in the headers the result is empty, and a span started under it begins a new trace. The
/// result is never the context of the code that calls this function.
pub fn extract(message: &impl Message) -> Context {
    extract_from(&MessageHeaders::of(message))
}

/// The same as [`extract`], for headers that were read already.
#[must_use]
pub fn extract_from(headers: &MessageHeaders<'_>) -> Context {
    // OpenTelemetry's no-op propagator, the default one, answers with the current context.
    let _no_context_is_current = Context::new().attach();
    global::get_text_map_propagator(|propagator| propagator.extract(&HeaderExtractor::new(headers)))
}

/// Writes trace context into the headers of a message to be sent.
#[derive(Debug)]
pub struct HeaderInjector<'a>(pub &'a mut OwnedHeaders);

impl Injector for HeaderInjector<'_> {
    /// Replaces every header of this name. An empty value only removes them: W3C Trace Context asks senders not to
    /// send an empty `tracestate`, and OpenTelemetry's propagator sets one for every span that has none.
    fn set(&mut self, key: &str, value: String) {
        headers::remove(self.0, key);
        if !value.is_empty() {
            headers::append(self.0, key, &value);
        }
    }
}

/// Reads trace context from the headers of a received message.
#[derive(Debug)]
pub struct HeaderExtractor<'a> {
    headers: &'a MessageHeaders<'a>,
    /// All `tracestate` headers as one list, if there are several.
    tracestate: Option<String>,
}

impl<'a> HeaderExtractor<'a> {
    /// Reads from `headers`.
    #[must_use]
    pub fn new(headers: &'a MessageHeaders<'a>) -> Self {
        let several = headers.texts(TRACESTATE).count() > 1;
        let joined = || headers.texts(TRACESTATE).collect::<Vec<_>>().join(",");
        Self {
            headers,
            tracestate: several.then(joined),
        }
    }
}

const TRACESTATE: &str = "tracestate";

impl Extractor for HeaderExtractor<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        let mut newest_first = self.headers.texts(key).rev();
        match (key, &self.tracestate) {
            ("traceparent", _) => newest_first.find(|value| traceparent::is_valid(value)),
            (TRACESTATE, Some(joined)) => Some(joined),
            _ => newest_first.next(),
        }
    }

    fn keys(&self) -> Vec<&str> {
        self.headers.iter().map(|header| header.key).collect()
    }
}

#[cfg(test)]
mod tests;
