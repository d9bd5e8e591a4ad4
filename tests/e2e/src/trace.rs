//! A span as it was exported, without anything of the protocol that it came by.
//!
//! Attributes keep their types: a port that became a string on its way is a defect, and shows here.
//! They are a list and not a map, so that one that was set twice shows as well.

use opentelemetry_proto::tonic::{
    common::v1::{AnyValue, KeyValue, any_value},
    trace::v1::{ResourceSpans, ScopeSpans, Span as ExportedSpan, Status as ExportedStatus},
};

/// A span.
#[derive(Debug, Clone, PartialEq)]
pub struct Span {
    /// The trace that it belongs to, as 32 hexadecimal digits.
    pub trace: String,
    /// Its own id, as 16 hexadecimal digits.
    pub id: String,
    /// The span that it is a child of.
    pub parent: Option<String>,
    /// The spans that it is linked to.
    pub links: Vec<Link>,
    /// The service that made it.
    pub service: String,
    /// The library that made it.
    pub scope: String,
    /// Its name.
    pub name: String,
    /// What it is in relation to others.
    pub kind: Kind,
    /// What is said of it, ordered by name.
    pub attributes: Vec<(String, Value)>,
    /// How it ended.
    pub status: Status,
    /// `tracestate`, as the callers have handed it on.
    pub trace_state: String,
    /// When it started, in nanoseconds since 1970.
    pub start: u64,
    /// When it ended.
    pub end: u64,
    /// What is said of the process that made it, ordered by name.
    pub resource: Vec<(String, Value)>,
}

/// The end of a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// In which trace.
    pub trace: String,
    /// To which span.
    pub span: String,
}

/// What a span is in relation to others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the conventions' own words")]
pub enum Kind {
    Internal,
    Server,
    Client,
    Producer,
    Consumer,
    Unspecified,
}

/// How a span ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status {
    /// Nobody said: as it should be.
    Unset,
    /// Somebody said explicitly that all is well.
    Ok,
    /// It failed, for this reason, which may be empty.
    Error(String),
}

/// The value of an attribute.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "they say it all")]
pub enum Value {
    Text(String),
    Int(i64),
    Double(f64),
    Bool(bool),
    /// An array, a map, bytes, or nothing: none of our spans has any.
    Other(String),
}

impl Span {
    /// The value of an attribute; if it is there more than once, the first.
    #[must_use]
    pub fn attribute(&self, name: &str) -> Option<&Value> {
        let mut attributes = self.attributes.iter();
        attributes.find_map(|(key, value)| (key == name).then_some(value))
    }

    /// The value of an attribute that is a text.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        match self.attribute(name)? {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The value of an attribute that is an integer.
    #[must_use]
    pub fn int(&self, name: &str) -> Option<i64> {
        match self.attribute(name)? {
            Value::Int(number) => Some(*number),
            _ => None,
        }
    }

    /// Whether it has one link, and that leads to its own parent.
    #[must_use]
    pub fn is_linked_to_its_parent(&self) -> bool {
        match (&self.links[..], &self.parent) {
            ([link], Some(parent)) => link.span == *parent && link.trace == self.trace,
            _ => false,
        }
    }
}

/// The spans of what a service exports.
#[must_use]
pub fn from_otlp(exported: Vec<ResourceSpans>) -> Vec<Span> {
    exported.into_iter().flat_map(of_resource).collect()
}

fn of_resource(exported: ResourceSpans) -> Vec<Span> {
    let resource = attributes(exported.resource.unwrap_or_default().attributes);
    let scopes = exported.scope_spans.into_iter();
    scopes
        .flat_map(|scope| of_scope(scope, &resource))
        .collect()
}

fn of_scope(exported: ScopeSpans, resource: &[(String, Value)]) -> Vec<Span> {
    let scope = exported.scope.unwrap_or_default().name;
    let spans = exported.spans.into_iter();
    spans.map(|span| of_span(span, &scope, resource)).collect()
}

fn of_span(exported: ExportedSpan, scope: &str, resource: &[(String, Value)]) -> Span {
    let service = resource.iter().find(|(name, _)| name == "service.name");
    let links = exported.links.iter().map(|link| Link {
        trace: hex(&link.trace_id),
        span: hex(&link.span_id),
    });
    Span {
        trace: hex(&exported.trace_id),
        id: hex(&exported.span_id),
        parent: Some(hex(&exported.parent_span_id)).filter(|id| !id.is_empty()),
        links: links.collect(),
        service: service.map_or_else(String::new, |(_, name)| name.to_string()),
        scope: scope.to_owned(),
        kind: Kind::from_otlp(exported.kind),
        name: exported.name,
        attributes: attributes(exported.attributes),
        status: Status::from_otlp(exported.status),
        trace_state: exported.trace_state,
        start: exported.start_time_unix_nano,
        end: exported.end_time_unix_nano,
        resource: resource.to_vec(),
    }
}

impl Kind {
    fn from_otlp(number: i32) -> Self {
        match number {
            1 => Self::Internal,
            2 => Self::Server,
            3 => Self::Client,
            4 => Self::Producer,
            5 => Self::Consumer,
            _ => Self::Unspecified,
        }
    }
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Internal => "INTERNAL",
            Self::Server => "SERVER",
            Self::Client => "CLIENT",
            Self::Producer => "PRODUCER",
            Self::Consumer => "CONSUMER",
            Self::Unspecified => "UNSPECIFIED",
        })
    }
}

impl Status {
    fn from_otlp(status: Option<ExportedStatus>) -> Self {
        let status = status.unwrap_or_default();
        match status.code {
            0 => Self::Unset,
            1 => Self::Ok,
            _ => Self::Error(status.message),
        }
    }
}

impl std::fmt::Display for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Text(text) | Self::Other(text) => f.write_str(text),
            Self::Int(number) => number.fmt(f),
            Self::Double(number) => number.fmt(f),
            Self::Bool(yes) => yes.fmt(f),
        }
    }
}

fn attributes(exported: Vec<KeyValue>) -> Vec<(String, Value)> {
    let pairs = exported.into_iter();
    let mut attributes: Vec<_> = pairs.map(|pair| (pair.key, value(pair.value))).collect();
    attributes.sort_by(|(one, _), (other, _)| one.cmp(other));
    attributes
}

fn value(exported: Option<AnyValue>) -> Value {
    use any_value::Value as Exported;
    match exported.and_then(|value| value.value) {
        Some(Exported::StringValue(text)) => Value::Text(text),
        Some(Exported::IntValue(number)) => Value::Int(number),
        Some(Exported::DoubleValue(number)) => Value::Double(number),
        Some(Exported::BoolValue(yes)) => Value::Bool(yes),
        other => Value::Other(format!("{other:?}")),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
