//! A program with a copy of the carrier's files instead of the crate `messaging`. It sends a message on: the last
//! valid context comes out of its headers, and goes in again as the only one.

mod carrier;
#[expect(dead_code, reason = "the crate has more to read from headers")]
mod headers;
mod traceparent;

use opentelemetry::global;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use rdkafka::message::{Header, Headers, OwnedHeaders, OwnedMessage, Timestamp};

fn main() {
    global::set_text_map_propagator(TraceContextPropagator::new());
    let values = [
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-01",
        "not valid",
    ];
    let key = "traceparent";
    let received = values.iter().fold(OwnedHeaders::new(), |headers, value| {
        headers.insert(Header { key, value: Some(*value) })
    });
    let message = OwnedMessage::new(
        None,
        None,
        "greetings".to_owned(),
        Timestamp::NotAvailable,
        0,
        0,
        Some(received.clone()),
    );
    let context = carrier::extract(&message);

    let mut sent = received;
    carrier::inject(&context, &mut sent);
    for header in sent.iter() {
        let value = String::from_utf8_lossy(header.value.unwrap_or_default());
        println!("{}: {value}", header.key);
    }
}
