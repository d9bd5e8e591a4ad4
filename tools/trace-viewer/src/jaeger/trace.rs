//! A trace in Jaeger's JSON.

use std::collections::HashMap;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use crate::answers::{Answers, Room, Seq};
use crate::model::{Attribute, Event, Link, Resource, Span, StatusCode, Value, find};
use crate::store::Trace;

/// A whole trace, and the memory for writing it.
pub(super) struct Rendered {
    trace: Arc<Trace>,
    _room: Room,
}

impl Rendered {
    pub(super) fn new(answers: &Answers, trace: Arc<Trace>) -> Self {
        let _room = answers.room(trace.spans.len());
        Self { trace, _room }
    }
}

impl Serialize for Rendered {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let spans = self.trace.spans_once();
        // A trace holds equal resources once, so identity is equality.
        let mut processes: Vec<&Resource> = Vec::new();
        let mut place: HashMap<*const Resource, usize> = HashMap::new();
        for span in &spans {
            place.entry(Arc::as_ptr(&span.resource)).or_insert_with(|| {
                processes.push(&span.resource);
                processes.len() - 1
            });
        }
        let rendered = || {
            let spans = spans.iter();
            spans.map(|span| jaeger_span(span, place[&Arc::as_ptr(&span.resource)]))
        };
        let mut map = serializer.serialize_map(Some(4))?;
        map.serialize_entry("traceID", &self.trace.id.to_string())?;
        map.serialize_entry("spans", &Seq(rendered))?;
        map.serialize_entry("processes", &Processes(&processes))?;
        map.serialize_entry("warnings", &None::<()>)?;
        map.end()
    }
}

/// `p1`, `p2` and so on, in the order of their first use.
struct Processes<'a>(&'a [&'a Resource]);

impl Serialize for Processes<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Process<'a> {
            service_name: &'a str,
            tags: Vec<Tag<'a>>,
        }
        serializer.collect_map(self.0.iter().enumerate().map(|(at, resource)| {
            let tags = sorted(tags(&resource.attributes));
            (
                process_id(at),
                Process {
                    service_name: &resource.service,
                    tags,
                },
            )
        }))
    }
}

fn process_id(at: usize) -> String {
    format!("p{}", at + 1)
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct JaegerSpan<'a> {
    #[serde(rename = "traceID")]
    trace_id: String,
    #[serde(rename = "spanID")]
    span_id: String,
    operation_name: &'a str,
    references: Vec<Reference>,
    start_time: u64,
    duration: u64,
    tags: Vec<Tag<'a>>,
    logs: Vec<Log<'a>>,
    #[serde(rename = "processID")]
    process_id: String,
    /// Always null; Jaeger's page expects the key.
    warnings: Option<()>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Reference {
    ref_type: &'static str,
    #[serde(rename = "traceID")]
    trace_id: String,
    #[serde(rename = "spanID")]
    span_id: String,
}

#[derive(Serialize)]
struct Log<'a> {
    timestamp: u64,
    fields: Vec<Tag<'a>>,
}

#[derive(Serialize)]
struct Tag<'a> {
    key: &'a str,
    r#type: &'static str,
    value: TagValue<'a>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum TagValue<'a> {
    Text(&'a str),
    Owned(String),
    Bool(bool),
    Int(i64),
    Float(f64),
}

fn jaeger_span(span: &Span, process: usize) -> JaegerSpan<'_> {
    JaegerSpan {
        trace_id: span.trace_id.to_string(),
        span_id: span.id.to_string(),
        operation_name: &span.name,
        references: references(span),
        start_time: span.start / 1_000,
        duration: (span.sane_end() - span.start) / 1_000,
        tags: span_tags(span),
        logs: span.events.iter().map(log).collect(),
        process_id: process_id(process),
        warnings: None,
    }
}

/// The parent comes first. When a link names the parent too, the link alone stands for both.
fn references(span: &Span) -> Vec<Reference> {
    let trace_id = span.trace_id;
    let parent = span.parent.filter(|parent| {
        let mut links = span.links.iter();
        !links.any(|link| link.trace_id == Some(trace_id) && link.span_id == Some(*parent))
    });
    let parent = parent.map(|parent| Reference {
        ref_type: "CHILD_OF",
        trace_id: trace_id.to_string(),
        span_id: parent.to_string(),
    });
    let links = span.links.iter().filter_map(reference);
    parent.into_iter().chain(links).collect()
}

/// `None` for a link with an all-zero id: it leads nowhere.
fn reference(link: &Link) -> Option<Reference> {
    let kind = find(&link.attributes, "opentracing.ref_type").and_then(Value::as_text);
    Some(Reference {
        ref_type: if kind == Some("child_of") {
            "CHILD_OF"
        } else {
            "FOLLOWS_FROM"
        },
        trace_id: link.trace_id?.to_string(),
        span_id: link.span_id?.to_string(),
    })
}

fn span_tags(span: &Span) -> Vec<Tag<'_>> {
    let mut all: Vec<_> = tags(&span.attributes).collect();
    let code = match span.status.code {
        StatusCode::Unset => "",
        StatusCode::Ok => "OK",
        StatusCode::Error => "ERROR",
    };
    let derived = [
        ("otel.scope.name", &*span.scope.name),
        ("otel.scope.version", &*span.scope.version),
        ("span.kind", span.kind.name()),
        ("otel.status_code", code),
        ("otel.status_description", &*span.status.message),
        ("w3c.tracestate", &*span.trace_state),
    ];
    let derived = derived.into_iter().filter(|(_, text)| !text.is_empty());
    all.extend(derived.map(|(key, text)| text_tag(key, text)));
    if span.failed() {
        all.push(Tag {
            key: "error",
            r#type: "bool",
            value: TagValue::Bool(true),
        });
    }
    sorted(all)
}

fn log(event: &Event) -> Log<'_> {
    let named = !event.name.is_empty() && find(&event.attributes, "event").is_none();
    let name = named.then(|| text_tag("event", &event.name));
    Log {
        timestamp: event.time / 1_000,
        fields: name
            .into_iter()
            .chain(sorted(tags(&event.attributes)))
            .collect(),
    }
}

fn text_tag<'a>(key: &'a str, text: &'a str) -> Tag<'a> {
    Tag {
        key,
        r#type: "string",
        value: TagValue::Text(text),
    }
}

fn tags(attributes: &[Attribute]) -> impl Iterator<Item = Tag<'_>> {
    attributes.iter().map(tag)
}

fn tag(attribute: &Attribute) -> Tag<'_> {
    let (kind, value) = match &attribute.value {
        Value::Text(text) | Value::Json(text) => ("string", TagValue::Text(text)),
        Value::Empty => ("string", TagValue::Text("")),
        Value::Bool(bool) => ("bool", TagValue::Bool(*bool)),
        Value::Bytes(bytes) => ("binary", TagValue::Owned(BASE64.encode(bytes))),
        // JSON has no word for a number that is not finite.
        Value::Float(float) if !float.0.is_finite() => {
            ("float64", TagValue::Owned(float.0.to_string()))
        }
        Value::Float(float) => ("float64", TagValue::Float(float.0)),
        Value::Int(int) if MAX_SAFE < int.unsigned_abs() => {
            ("int64", TagValue::Owned(int.to_string()))
        }
        Value::Int(int) => ("int64", TagValue::Int(*int)),
    };
    Tag {
        key: &attribute.key,
        r#type: kind,
        value,
    }
}

/// The largest whole number that a double, and so JavaScript, holds exactly.
const MAX_SAFE: u64 = (1 << 53) - 1;

fn sorted<'a>(tags: impl IntoIterator<Item = Tag<'a>>) -> Vec<Tag<'a>> {
    let mut tags: Vec<_> = tags.into_iter().collect();
    tags.sort_by_key(|tag| tag.key);
    tags
}
