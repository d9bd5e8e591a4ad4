//! Step one: Kafka headers as a carrier of trace context.
//!
//! OpenTelemetry's propagators know nothing of Kafka. They write through an [`Injector`] and read
//! through an [`Extractor`], and these two adapters are all that Kafka needs to become a transport
//! for `traceparent`, `tracestate` and `baggage`. Which of these headers there are, and how they
//! look, is the propagator's business alone.
//!
//! Kafka allows a key to appear many times, and a value to be null or any bytes. So:
//! - to set is to *replace*. Appending would leave the old `traceparent` of a message that is sent
//!   on in front of the new one, and a reader that takes the first would continue the wrong span;
//! - to get is to take the *last* of a key, as OpenTelemetry's Java agent does, since what was
//!   added last is the most recent;
//! - a value that is null or no UTF-8 is as good as absent.

use std::panic::{AssertUnwindSafe, catch_unwind};

use opentelemetry::{
    Context, global,
    propagation::{Extractor, Injector},
};
use rdkafka::message::{Header, Headers, Message, OwnedHeaders};

/// Writes trace context into the headers of a message to be sent.
#[derive(Debug)]
pub struct HeaderInjector<'a>(pub &'a mut OwnedHeaders);

impl Injector for HeaderInjector<'_> {
    fn set(&mut self, key: &str, value: String) {
        *self.0 = replace(self.0, key, value.as_bytes());
    }
}

/// Reads trace context from the headers of a message that came in.
#[derive(Debug)]
pub struct HeaderExtractor<'a, H>(pub &'a H);

impl<H: Headers> Extractor for HeaderExtractor<'_, H> {
    fn get(&self, key: &str) -> Option<&str> {
        readable(self.0)
            .filter(|header| header.key == key)
            .last()
            .and_then(|header| std::str::from_utf8(header.value?).ok())
    }

    fn keys(&self) -> Vec<&str> {
        readable(self.0).map(|header| header.key).collect()
    }
}

/// Puts `context` into `headers`, by the program's global propagator.
pub fn inject(context: &Context, headers: &mut OwnedHeaders) {
    global::get_text_map_propagator(|propagator| {
        propagator.inject_context(context, &mut HeaderInjector(headers));
    });
}

/// The context that a message's headers carry, by the program's global propagator.
///
/// Without a valid one the context is empty, and a span started under it is the root of a new
/// trace; in particular it is never the context of the code that happens to call this.
pub fn extract(message: &impl Message) -> Context {
    let Some(headers) = message.headers() else {
        return Context::new();
    };
    global::get_text_map_propagator(|propagator| {
        propagator.extract_with_context(&Context::new(), &HeaderExtractor(headers))
    })
}

/// A copy of `headers` in which `key` appears once, with `value`.
pub(crate) fn replace(headers: &OwnedHeaders, key: &str, value: &[u8]) -> OwnedHeaders {
    readable(headers)
        .filter(|header| header.key != key)
        .fold(
            OwnedHeaders::new_with_capacity(headers.count() + 1),
            OwnedHeaders::insert,
        )
        .insert(Header {
            key,
            value: Some(value),
        })
}

/// Every header whose key is UTF-8, as Kafka's protocol demands.
///
/// A stranger may break that rule, and rdkafka 0.39 panics on such a key (`Headers::try_get`
/// unwraps it). One bad message must not end a consumer, so the panic is caught and the header
/// passed over.
pub(crate) fn readable<H: Headers>(headers: &H) -> impl Iterator<Item = Header<'_, &[u8]>> {
    (0..headers.count())
        .filter_map(|index| catch_unwind(AssertUnwindSafe(|| headers.try_get(index))).ok()?)
}

#[cfg(test)]
mod tests;
