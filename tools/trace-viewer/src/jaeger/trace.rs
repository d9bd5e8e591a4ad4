//! A trace in Jaeger's JSON.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use super::adjust::{self, Shown};
use crate::model::{
    Attribute, Event, Kind, Link, Resource, SpanId, StatusCode, TraceId, Value, find,
};
use crate::store::Trace;

/// The whole trace; `raw` as it came, else set right.
pub(super) fn render(trace: &Trace, raw: bool) -> impl Serialize + use<> {
    let spans = if raw {
        adjust::as_they_came(&trace.spans)
    } else {
        adjust::adjusted(&trace.spans)
    };
    let mut processes: Vec<Arc<Resource>> = Vec::new();
    let mut process_of = Vec::with_capacity(spans.len());
    for shown in &spans {
        let known = processes
            .iter()
            .position(|known| Arc::ptr_eq(known, &shown.span.resource));
        process_of.push(known.unwrap_or(processes.len()));
        if known.is_none() {
            processes.push(Arc::clone(&shown.span.resource));
        }
    }
    RenderedTrace {
        id: trace.id,
        raw,
        spans,
        process_of,
        processes,
    }
}

struct RenderedTrace {
    id: TraceId,
    raw: bool,
    spans: Vec<Shown>,
    process_of: Vec<usize>,
    /// Equal ones are one already: a trace shares them.
    processes: Vec<Arc<Resource>>,
}

impl Serialize for RenderedTrace {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let spans = self.spans.iter().zip(&self.process_of);
        let spans: Vec<_> = spans
            .map(|(shown, process)| span(shown, *process, self.raw))
            .collect();
        let mut map = serializer.serialize_map(Some(4))?;
        map.serialize_entry("traceID", &self.id.to_string())?;
        map.serialize_entry("spans", &spans)?;
        map.serialize_entry("processes", &Processes(&self.processes))?;
        map.serialize_entry("warnings", &None::<()>)?;
        map.end()
    }
}

/// `p1`, `p2` and so on, in the order of their first use.
struct Processes<'a>(&'a [Arc<Resource>]);

impl Serialize for Processes<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Process<'a> {
            service_name: &'a str,
            tags: Vec<Tag<'a>>,
        }
        serializer.collect_map(self.0.iter().enumerate().map(|(at, resource)| {
            let tags = sorted(tags(&resource.attributes, true));
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
    warnings: Option<&'a [String]>,
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

fn span<'a>(shown: &'a Shown, process: usize, raw: bool) -> JaegerSpan<'a> {
    let span = &*shown.span;
    JaegerSpan {
        trace_id: span.trace_id.to_string(),
        span_id: shown.id.to_string(),
        operation_name: &span.name,
        references: references(shown, raw),
        start_time: span.start / 1_000,
        duration: (span.sane_end() - span.start) / 1_000,
        tags: span_tags(shown, raw),
        logs: span.events.iter().map(|event| log(event, raw)).collect(),
        process_id: process_id(process),
        warnings: (!shown.warnings.is_empty()).then_some(&shown.warnings),
    }
}

/// The parent first, unless a link names it too: then the link alone stands for both.
fn references(shown: &Shown, raw: bool) -> Vec<Reference> {
    let trace_id = shown.span.trace_id;
    let parent = shown.parent.filter(|parent| {
        let mut links = shown.span.links.iter();
        !links.any(|link| link.trace_id == Some(trace_id) && link.span_id == Some(*parent))
    });
    let parent = parent.map(|parent| Reference {
        ref_type: "CHILD_OF",
        trace_id: trace_id.to_string(),
        span_id: parent.to_string(),
    });
    let links = shown
        .span
        .links
        .iter()
        .filter(|link| raw || link.trace_id.is_some());
    parent.into_iter().chain(links.map(reference)).collect()
}

fn reference(link: &Link) -> Reference {
    let zero = || "0".repeat(16);
    let kind = find(&link.attributes, "opentracing.ref_type").and_then(Value::as_text);
    Reference {
        ref_type: if kind == Some("child_of") {
            "CHILD_OF"
        } else {
            "FOLLOWS_FROM"
        },
        trace_id: link.trace_id.as_ref().map_or_else(zero, TraceId::to_string),
        span_id: link.span_id.as_ref().map_or_else(zero, SpanId::to_string),
    }
}

fn span_tags(shown: &Shown, raw: bool) -> Vec<Tag<'_>> {
    let span = &*shown.span;
    let scope = [
        ("otel.scope.name", &span.scope.name),
        ("otel.scope.version", &span.scope.version),
    ];
    let scope = scope.into_iter().filter(|(_, text)| !text.is_empty());
    let mut all: Vec<_> = scope.map(|(key, text)| text_tag(key, text)).collect();
    all.extend(tags(&span.attributes, !raw));
    if span.kind != Kind::Unspecified {
        all.push(text_tag("span.kind", span.kind.name()));
    }
    match span.status.code {
        StatusCode::Unset => {}
        StatusCode::Ok => all.push(text_tag("otel.status_code", "OK")),
        StatusCode::Error => {
            all.push(text_tag("otel.status_code", "ERROR"));
            all.push(Tag {
                key: "error",
                r#type: "bool",
                value: TagValue::Bool(true),
            });
        }
    }
    if !span.status.message.is_empty() {
        all.push(text_tag("otel.status_description", &span.status.message));
    }
    if !span.trace_state.is_empty() {
        all.push(text_tag("w3c.tracestate", &span.trace_state));
    }
    if raw { all } else { sorted(all) }
}

fn log(event: &Event, raw: bool) -> Log<'_> {
    let named = !event.name.is_empty() && find(&event.attributes, "event").is_none();
    let mut fields: Vec<_> = named
        .then(|| text_tag("event", &event.name))
        .into_iter()
        .collect();
    let attributes = tags(&event.attributes, !raw);
    if raw {
        fields.extend(attributes)
    } else {
        fields.extend(sorted(attributes))
    }
    Log {
        timestamp: event.time / 1_000,
        fields,
    }
}

fn text_tag<'a>(key: &'a str, text: &'a str) -> Tag<'a> {
    Tag {
        key,
        r#type: "string",
        value: TagValue::Text(text),
    }
}

fn tags(attributes: &[Attribute], dotted_ip: bool) -> impl Iterator<Item = Tag<'_>> {
    attributes
        .iter()
        .map(move |attribute| tag(attribute, dotted_ip))
}

fn tag(attribute: &Attribute, dotted_ip: bool) -> Tag<'_> {
    let key = &*attribute.key;
    let (kind, value) = match &attribute.value {
        Value::Text(text) | Value::Json(text) => ("string", TagValue::Text(text)),
        Value::Empty => ("string", TagValue::Text("")),
        Value::Bool(bool) => ("bool", TagValue::Bool(*bool)),
        Value::Bytes(bytes) => ("binary", TagValue::Owned(BASE64.encode(bytes))),
        Value::Float(float) => ("float64", number(float.0)),
        Value::Int(int) => match u32::try_from(*int) {
            Ok(ip) if dotted_ip && matches!(key, "ip" | "peer.ipv4") => (
                "string",
                TagValue::Owned(std::net::Ipv4Addr::from_bits(ip).to_string()),
            ),
            _ => ("int64", whole(*int)),
        },
    };
    Tag {
        key,
        r#type: kind,
        value,
    }
}

/// The largest whole number that a double, and so JavaScript, holds exactly.
const MAX_SAFE: i64 = (1 << 53) - 1;

fn whole(int: i64) -> TagValue<'static> {
    if (-MAX_SAFE..=MAX_SAFE).contains(&int) {
        TagValue::Int(int)
    } else {
        TagValue::Owned(int.to_string())
    }
}

/// Go writes 2.0 as 2. JSON has no word for what is not finite.
fn number(float: f64) -> TagValue<'static> {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "only when it is whole and safe"
    )]
    if !float.is_finite() {
        TagValue::Owned(float.to_string())
    } else if float.fract() == 0.0 && float.abs() < 9e15 {
        TagValue::Int(float as i64)
    } else {
        TagValue::Float(float)
    }
}

fn sorted<'a>(tags: impl IntoIterator<Item = Tag<'a>>) -> Vec<Tag<'a>> {
    let mut tags: Vec<_> = tags.into_iter().collect();
    tags.sort_by_key(|tag| tag.key);
    tags
}
