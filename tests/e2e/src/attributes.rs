//! Which attributes each kind of span has: all of them, with their types, and the values that are known.
//!
//! What a span is about is in its line in the tree, see [`crate::tree`]; everything else that is
//! said of it is here. Names and types are those of the semantic conventions for HTTP, databases and
//! Kafka, v1.44.0, and a few of our own.

use crate::{
    shop::{AGENT, Places},
    trace::{Kind, Span, Status, Value},
};

/// What an attribute is to be.
#[derive(Debug)]
enum Is {
    /// This text.
    Text(String),
    /// A text that is not known beforehand, or is in the span's line.
    AnyText,
    /// This integer.
    Int(i64),
    /// An integer, 0 or more.
    Count,
    /// A floating-point number, 0 or more.
    Seconds,
}
use Is::{AnyText, Count, Int, Seconds};

/// What orders does before it knows which order it is about.
const BEFORE_THE_ORDER: [&str; 3] = [
    "BEGIN",
    "SELECT set_config",
    "INSERT orders.idempotency_keys",
];

/// Attributes by name.
type Table = Vec<(&'static str, Is)>;

/// What the spans of a trace have in common.
#[derive(Debug, Clone, Copy)]
pub struct About<'a> {
    /// Where everybody is.
    pub places: &'a Places,
    /// What was asked of the gateway: path and query.
    pub asked: &'a str,
    /// The order that was placed, if one was.
    pub order: Option<&'a str>,
}

/// The request to a server.
fn http_server(span: &Span, asked: &str, about: &About<'_>) -> Table {
    let (method, route) = span.name.split_once(' ').unwrap_or((&span.name, ""));
    let (path, query) = asked.split_once('?').unwrap_or((asked, ""));
    let mut table = vec![
        ("http.request.method", text(method)),
        ("http.route", text(route)),
        ("http.response.status_code", Count),
        ("url.scheme", text("http")),
        ("url.path", text(path)),
        ("server.address", text("127.0.0.1")),
        ("server.port", Int(about.places.port_of(&span.service))),
        ("client.address", text("127.0.0.1")),
        ("network.protocol.version", text("1.1")),
    ];
    if !query.is_empty() {
        table.push(("url.query", text(query)));
    }
    // Our services do not tell each other what they are.
    if span.service == "gateway" {
        table.push(("user_agent.original", text(AGENT)));
    }
    table
}

/// The same request, on the side of the one who asks.
fn http_client(span: &Span) -> Table {
    let url = span.text("url.full").unwrap_or_default();
    let mut table = vec![
        ("http.request.method", text(&span.name)),
        ("url.full", AnyText),
        ("server.address", text("127.0.0.1")),
        ("server.port", Int(port(url))),
    ];
    // A code is an error's type, too; anything else is that there was no answer.
    let error = span.text("error.type");
    if error.is_none_or(|error| error.parse::<u16>().is_ok()) {
        table.push(("http.response.status_code", Count));
    }
    table
}

/// A statement, named by its summary.
fn sql(span: &Span, about: &About<'_>) -> Table {
    vec![
        ("db.system.name", text("postgresql")),
        ("db.namespace", text(&format!("orderflow|{}", span.service))),
        ("db.query.summary", text(&span.name)),
        ("db.query.text", AnyText),
        ("server.address", text("127.0.0.1")),
        ("server.port", Int(about.places.port_of("PostgreSQL"))),
    ]
}

/// A message on its way to the broker.
fn send(span: &Span, about: &About<'_>) -> Table {
    let mut table = message(span, about);
    // Events wait in the outbox before they are sent; dead letters don't.
    if span.service == "orders" {
        table.push(("orderflow.outbox.wait_time", Seconds));
    }
    if span.status == Status::Unset {
        table.push(("messaging.destination.partition.id", AnyText));
        table.push(("messaging.kafka.offset", Count));
    }
    table
}

/// An attempt at a message; where it lay is what the `send` span says.
fn process(span: &Span, send: Option<&Span>, about: &About<'_>) -> Table {
    let partition = send.and_then(|send| send.text("messaging.destination.partition.id"));
    let offset = send.and_then(|send| send.int("messaging.kafka.offset"));
    let mut table = message(span, about);
    table.extend([
        ("messaging.consumer.group.name", text("worker")),
        (
            "messaging.destination.partition.id",
            partition.map_or(AnyText, text),
        ),
        ("messaging.kafka.offset", offset.map_or(Count, Int)),
    ]);
    // Time in the queue is told once, on the first attempt; the others say which they are.
    if span.attribute("orderflow.messaging.retry_count").is_none() {
        table.push(("orderflow.messaging.queue_time", Seconds));
    } else {
        table.push(("orderflow.messaging.retry_count", Count));
    }
    table
}

/// What the sending and the processing of a message have in common.
fn message(span: &Span, about: &About<'_>) -> Table {
    let (operation, topic) = span.name.split_once(' ').unwrap_or((&span.name, ""));
    vec![
        ("messaging.system", text("kafka")),
        ("messaging.operation.name", text(operation)),
        ("messaging.operation.type", text(operation)),
        ("messaging.destination.name", text(topic)),
        (
            "messaging.kafka.message.key",
            about.order.map_or(AnyText, text),
        ),
        ("messaging.client.id", text(&span.service)),
        ("server.address", text("127.0.0.1")),
        ("server.port", Int(about.places.port_of("Kafka"))),
    ]
}

/// The process that made the span.
fn resource(span: &Span) -> Table {
    vec![
        ("service.name", text(&span.service)),
        ("service.namespace", text("orderflow")),
        ("service.version", text(env!("CARGO_PKG_VERSION"))),
        ("service.instance.id", AnyText),
        ("deployment.environment.name", text("development")),
        ("telemetry.sdk.name", text("opentelemetry")),
        ("telemetry.sdk.language", text("rust")),
        ("telemetry.sdk.version", AnyText),
    ]
}

/// What is wrong with the attributes of these spans, one sentence each.
#[must_use]
pub fn complaints(spans: &[Span], about: &About<'_>) -> Vec<String> {
    let mut complaints = Vec::new();
    for span in spans {
        let mut wrong = compare(&table(span, spans, about), &span.attributes);
        wrong.extend(compare(&resource(span), &span.resource));
        let library = match span.kind {
            Kind::Producer | Kind::Consumer => "messaging",
            _ => "telemetry",
        };
        if span.scope != library {
            wrong.push(format!("made by the library {:?}", span.scope));
        }
        if span.end < span.start {
            wrong.push("ended before it started".to_owned());
        }
        let who = format!("{} {} {}", span.service, span.kind, span.name);
        complaints.extend(wrong.into_iter().map(|what| format!("{who}: {what}")));
    }
    complaints
}

fn table(span: &Span, spans: &[Span], about: &About<'_>) -> Table {
    let parent = span.parent.as_ref();
    let parent = parent.and_then(|id| spans.iter().find(|other| other.id == *id));
    let asked = parent.map_or(about.asked, asked_by);
    let mut table = match span.kind {
        Kind::Server => http_server(span, asked, about),
        Kind::Client if is_http(span) => http_client(span),
        Kind::Client => sql(span, about),
        Kind::Producer => send(span, about),
        Kind::Consumer => process(span, parent, about),
        Kind::Internal | Kind::Unspecified => Vec::new(),
    };
    if span.status != Status::Unset {
        table.push(("error.type", AnyText));
    }
    // The gateway learns the order's id from the answer, when its call is over; and orders knows it
    // when it has begun, and a key, if there is one, has no order yet.
    let too_early = match span.service.as_str() {
        "gateway" => span.kind == Kind::Client,
        "orders" => BEFORE_THE_ORDER.contains(&span.name.as_str()),
        _ => false,
    };
    if let Some(order) = about.order.filter(|_| !too_early) {
        table.push(("order.id", text(order)));
    }
    table
}

fn is_http(span: &Span) -> bool {
    span.attribute("http.request.method").is_some()
}

/// Path and query that a client asked for.
fn asked_by(client: &Span) -> &str {
    let url = client.text("url.full").unwrap_or_default();
    let host = url.split_once("://").map_or(url, |(_, rest)| rest);
    host.find('/').map_or("/", |slash| &host[slash..])
}

fn port(url: &str) -> i64 {
    let host = url.split('/').nth(2).unwrap_or_default();
    let port = host.rsplit(':').next().unwrap_or_default();
    port.parse().unwrap_or_default()
}

fn text(text: &str) -> Is {
    Is::Text(text.to_owned())
}

fn compare(table: &Table, attributes: &[(String, Value)]) -> Vec<String> {
    let mut wrong = Vec::new();
    for (name, is) in table {
        let found: Vec<_> = attributes.iter().filter(|(key, _)| key == name).collect();
        match &found[..] {
            [] => wrong.push(format!("{name} is missing")),
            [(_, value)] if is.met_by(value) => {}
            [(_, value)] => wrong.push(format!("{name} is {value:?} instead of {is:?}")),
            _ => wrong.push(format!("{name} is there {} times", found.len())),
        }
    }
    let unknown = attributes.iter().filter(|(key, _)| {
        let mut names = table.iter();
        names.all(|(name, _)| key != name)
    });
    wrong.extend(unknown.map(|(name, value)| format!("{name} = {value:?} does not belong there")));
    wrong
}

impl Is {
    fn met_by(&self, value: &Value) -> bool {
        match (self, value) {
            (Self::Text(wanted), Value::Text(text)) => text == wanted,
            (Self::AnyText, Value::Text(_)) => true,
            (Self::Int(wanted), Value::Int(number)) => number == wanted,
            (Self::Count, Value::Int(number)) => *number >= 0,
            (Self::Seconds, Value::Double(seconds)) => *seconds >= 0.0,
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{AnyText, Count, Int, Seconds, compare, text};
    use crate::trace::Value;

    #[test]
    fn a_value_of_another_type_is_another_value() {
        let table = || {
            vec![
                ("a", text("1")),
                ("b", Int(1)),
                ("c", Seconds),
                ("d", Count),
                ("e", AnyText),
            ]
        };
        let good = [
            ("a", Value::Text("1".to_owned())),
            ("b", Value::Int(1)),
            ("c", Value::Double(0.0)),
            ("d", Value::Int(0)),
            ("e", Value::Text(String::new())),
        ]
        .map(|(name, value)| (name.to_owned(), value));
        assert_eq!(compare(&table(), &good), [""; 0]);
        for (index, value) in [
            (0, Value::Int(1)),
            (1, Value::Text("1".to_owned())),
            (1, Value::Double(1.0)),
            (1, Value::Int(2)),
            (2, Value::Int(0)),
            (2, Value::Double(-0.1)),
            (3, Value::Int(-1)),
            (4, Value::Bool(true)),
        ] {
            let mut bad = good.clone();
            bad[index].1 = value;
            assert_eq!(compare(&table(), &bad).len(), 1, "{bad:?}");
        }
        assert_eq!(compare(&table(), &good[1..]), ["a is missing"]);
        let twice = [&good[..], &good[..1]].concat();
        assert_eq!(compare(&table(), &twice), ["a is there 2 times"]);
        let more = [&good[..], &[("f".to_owned(), Value::Int(1))]].concat();
        assert_eq!(
            compare(&table(), &more),
            ["f = Int(1) does not belong there"]
        );
    }
}
