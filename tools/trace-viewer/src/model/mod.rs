//! Spans and log lines as the viewer keeps them: OTLP's fields, without its wire format.
//!
//! Protobuf's structs stay in `otlp`, Jaeger's JSON stays in `jaeger`. Everything here is as it came: no time is
//! corrected, no id changed, no attribute reordered. Answers that need it otherwise work it out.

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
    /// Its kind.
    pub(crate) kind: Kind,
    /// Nanoseconds since 1970.
    pub(crate) start: u64,
    /// Nanoseconds since 1970, as sent: it may lie before the start.
    pub(crate) end: u64,
    /// Its status.
    pub(crate) status: Status,
    /// W3C tracestate, as sent.
    pub(crate) trace_state: Box<str>,
    /// Its attributes, in the order in which they came.
    pub(crate) attributes: Box<[Attribute]>,
    /// Its events, in the order in which they came.
    pub(crate) events: Box<[Event]>,
    /// Links to other spans, which may be in other traces.
    pub(crate) links: Box<[Link]>,
    /// The process that recorded it; shared by the spans of one process.
    pub(crate) resource: Arc<Resource>,
    /// The library that recorded it; shared likewise.
    pub(crate) scope: Arc<Scope>,
}

impl Span {
    /// The end, but never at or before the start: at least one nanosecond later, as Jaeger stores it.
    #[must_use]
    pub(crate) fn sane_end(&self) -> u64 {
        self.end.max(self.start.saturating_add(1))
    }

    /// True when its status is an error.
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

/// The role of a span in a call or a message.
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

/// The status of a span.
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
    /// The default, and what most successful spans have.
    #[default]
    Unset,
    /// The sender marked the span as successful.
    Ok,
    /// It failed.
    Error,
}

/// Something that happened during a span.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Event {
    /// Nanoseconds since 1970.
    pub(crate) time: u64,
    /// Its name.
    pub(crate) name: Box<str>,
    /// Its attributes.
    pub(crate) attributes: Box<[Attribute]>,
}

/// A link from a span to another one, perhaps in another trace.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Link {
    /// Its trace; `None` for an all-zero id.
    pub(crate) trace_id: Option<TraceId>,
    /// Its id; `None` for an all-zero one.
    pub(crate) span_id: Option<SpanId>,
    /// The attributes of the link, often the reason for it.
    pub(crate) attributes: Box<[Attribute]>,
}

/// The process that sent a span.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(crate) struct Resource {
    /// `service.name`; as in Jaeger `missing-service-name` or `empty-service-name` when there is none.
    pub(crate) service: Box<str>,
    /// The other attributes.
    pub(crate) attributes: Box<[Attribute]>,
}

/// The library that recorded a span.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(crate) struct Scope {
    /// Its name, often empty.
    pub(crate) name: Box<str>,
    /// Its version, often empty.
    pub(crate) version: Box<str>,
    /// Its attributes.
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
    /// Its attributes.
    pub(crate) attributes: Box<[Attribute]>,
    /// The process that wrote it.
    pub(crate) resource: Arc<Resource>,
}
