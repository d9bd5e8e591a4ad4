//! What is kept of a span and of a log line: OTLP's fields, without its wire form.
//!
//! Protobuf's structs stay in `otlp`, Jaeger's JSON stays in `jaeger`. Everything here is as it came:
//! no time is corrected, no id changed, no attribute reordered. What a reader wants to see differently
//! is worked out when it is asked for.

mod ids;
mod size;
mod value;

use std::sync::Arc;

pub(crate) use ids::{SpanId, TraceId};
pub(crate) use size::HeapSize;
pub(crate) use value::{Attribute, Float, Value};

/// One operation of one service.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Span {
    /// The trace it belongs to.
    pub(crate) trace_id: TraceId,
    /// Its own id, unique within the trace unless a sender erred.
    pub(crate) id: SpanId,
    /// The span that caused it; it may never arrive.
    pub(crate) parent: Option<SpanId>,
    /// The operation.
    pub(crate) name: Box<str>,
    /// Which side of which kind of call it is.
    pub(crate) kind: Kind,
    /// Nanoseconds since 1970.
    pub(crate) start: u64,
    /// Nanoseconds since 1970, as sent: it may lie before the start.
    pub(crate) end: u64,
    /// How it went.
    pub(crate) status: Status,
    /// W3C tracestate, as sent.
    pub(crate) trace_state: Box<str>,
    /// What is known of it.
    pub(crate) attributes: Box<[Attribute]>,
    /// What happened during it.
    pub(crate) events: Box<[Event]>,
    /// Other spans it has to do with.
    pub(crate) links: Box<[Link]>,
    /// Who did it; shared by the spans of one process.
    pub(crate) resource: Arc<Resource>,
    /// Which library recorded it; shared likewise.
    pub(crate) scope: Arc<Scope>,
}

impl Span {
    /// The end, but never at or before the start: at least one nanosecond later, as Jaeger stores it.
    #[must_use]
    pub(crate) fn sane_end(&self) -> u64 {
        self.end.max(self.start.saturating_add(1))
    }

    /// True when the sender says that it failed.
    #[must_use]
    pub(crate) fn failed(&self) -> bool {
        self.status.code == StatusCode::Error
    }

    /// The first attribute of that key.
    #[must_use]
    pub(crate) fn attribute(&self, key: &str) -> Option<&Value> {
        find(&self.attributes, key)
    }

    /// The first attribute of that key, when it is a text.
    #[must_use]
    pub(crate) fn text(&self, key: &str) -> Option<&str> {
        self.attribute(key).and_then(Value::as_text)
    }
}

/// The value of the first attribute of that key.
#[must_use]
pub(crate) fn find<'a>(attributes: &'a [Attribute], key: &str) -> Option<&'a Value> {
    let found = attributes.iter().find(|attribute| &*attribute.key == key);
    found.map(|attribute| &attribute.value)
}

/// Which side of which kind of call a span is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) enum Kind {
    /// Not said.
    #[default]
    Unspecified,
    /// Work inside one process.
    Internal,
    /// Answers a request.
    Server,
    /// Waits for an answer.
    Client,
    /// Sends a message.
    Producer,
    /// Handles a message.
    Consumer,
}

impl Kind {
    /// Its name in Jaeger's `span.kind`; empty when not said.
    #[must_use]
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Unspecified => "",
            Self::Internal => "internal",
            Self::Server => "server",
            Self::Client => "client",
            Self::Producer => "producer",
            Self::Consumer => "consumer",
        }
    }
}

/// How a span went.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(crate) struct Status {
    /// Unset, ok or error.
    pub(crate) code: StatusCode,
    /// The error's message, often empty.
    pub(crate) message: Box<str>,
}

/// Unset, ok or error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) enum StatusCode {
    /// Nothing was said, which is what success looks like.
    #[default]
    Unset,
    /// Somebody vouched for it.
    Ok,
    /// It failed.
    Error,
}

/// Something that happened during a span.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Event {
    /// Nanoseconds since 1970.
    pub(crate) time: u64,
    /// What.
    pub(crate) name: Box<str>,
    /// More of it.
    pub(crate) attributes: Box<[Attribute]>,
}

/// Another span that a span has to do with, perhaps in another trace.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Link {
    /// Its trace; `None` for an all-zero id.
    pub(crate) trace_id: Option<TraceId>,
    /// Its id; `None` for an all-zero one.
    pub(crate) span_id: Option<SpanId>,
    /// Why.
    pub(crate) attributes: Box<[Attribute]>,
}

/// Who sent a span: one process.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(crate) struct Resource {
    /// `service.name`, or Jaeger's word for one that is missing or empty.
    pub(crate) service: Box<str>,
    /// All the rest.
    pub(crate) attributes: Box<[Attribute]>,
}

/// Which library recorded a span.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(crate) struct Scope {
    /// Its name, often empty.
    pub(crate) name: Box<str>,
    /// Its version, often empty.
    pub(crate) version: Box<str>,
    /// More of it.
    pub(crate) attributes: Box<[Attribute]>,
}

/// One line of a service's log, with the span it was written in.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct LogLine {
    /// The trace it was written in.
    pub(crate) trace_id: TraceId,
    /// The span it was written in, when it says so.
    pub(crate) span_id: Option<SpanId>,
    /// Nanoseconds since 1970.
    pub(crate) time: u64,
    /// OTLP's severity number: 9 is INFO, 13 WARN, 17 ERROR.
    pub(crate) severity: i32,
    /// The message.
    pub(crate) body: Value,
    /// More of it.
    pub(crate) attributes: Box<[Attribute]>,
    /// Who wrote it.
    pub(crate) resource: Arc<Resource>,
}
