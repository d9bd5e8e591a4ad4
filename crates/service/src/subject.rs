//! The id of what a piece of work is about, on every span of that work.

use std::future::Future;

use opentelemetry::{Context, baggage::BaggageExt};
use telemetry::context;

/// Runs `future` as work on the thing called `id`: the current span and every span that starts inside get the
/// attribute `key`, and services that are called get it as baggage.
///
/// The id comes from the work itself (a message, a path, a body), not from the caller's baggage. So a message that a
/// person sends again without headers is found by its id all the same, and so is a call whose caller propagates no
/// baggage.
///
/// If the caller's baggage has an entry `key`, the current span got the attribute from it when it started. It is not set
/// again, since OpenTelemetry's SDK would keep two attributes with one name; the baggage for the work inside is replaced.
pub async fn work_on<F: Future>(key: &'static str, id: String, future: F) -> F::Output {
    let from_caller = Context::map_current(|context| {
        let value = context.baggage().get(key);
        value.map(ToString::to_string)
    });
    if from_caller.is_none() {
        context::set_attribute(key, id.clone());
    }
    if from_caller.as_ref() == Some(&id) {
        return future.await;
    }
    context::with_baggage(key, id, future).await
}
