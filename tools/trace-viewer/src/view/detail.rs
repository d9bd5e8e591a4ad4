//! One trace, with all that the page shows of it.
//!
//! Whole numbers and times are texts: JavaScript's numbers would round them.

use std::borrow::Cow;
use std::sync::Arc;

use serde::Serialize;
use serde_json::{Value as Json, json};

use super::critical::CriticalPath;
use super::tree::{Node, Tree};
use super::{list, messages, verdict};
use crate::model::{Attribute, Event, Link, LogLine, Resource, Span, SpanId, TraceId, Value};
use crate::store::{Store, Trace};

/// The trace as JSON, at that time (nanoseconds since 1970).
pub(super) fn render(store: &Store, trace: &Trace, now: u64) -> Json {
    let tree = Tree::new(trace);
    let path = CriticalPath::of(&tree);
    let (start, end) = tree.bounds();
    let mut resources: Vec<Arc<Resource>> = Vec::new();
    let spans: Vec<SpanView> = tree
        .nodes
        .iter()
        .enumerate()
        .map(|(at, node)| span(&tree, node, &path.parts[at], place(&mut resources, node)))
        .collect();
    json!({
        "id": trace.id.to_string(),
        "now": now.to_string(),
        "start": start.to_string(),
        "end": end.to_string(),
        "order": list::order_id(&tree),
        "verdict": verdict::of(&tree, &path, now),
        "shares": shares(&path),
        "resources": resources.iter().map(|resource| json!({
            "service": resource.service,
            "attributes": attributes(&resource.attributes),
        })).collect::<Vec<_>>(),
        "spans": spans,
        "held": list::held(&store.counts()),
        "linked_from": linked_from(store, trace.id),
        "logs": trace.log_lines.iter().map(|line| log_line(line)).collect::<Vec<_>>(),
    })
}

/// Equal ones are one already: a trace shares them.
fn place(resources: &mut Vec<Arc<Resource>>, node: &Node) -> usize {
    let known = resources
        .iter()
        .position(|known| Arc::ptr_eq(known, &node.span.resource));
    known.unwrap_or_else(|| {
        resources.push(Arc::clone(&node.span.resource));
        resources.len() - 1
    })
}

/// Where the time of the critical path went, the most first.
fn shares(path: &CriticalPath) -> Vec<Json> {
    let services = path
        .services
        .iter()
        .map(|(name, time)| ("service", &**name, *time));
    let waits = [
        ("queue", "queue", path.queue),
        ("idle", "waiting", path.idle),
    ];
    let mut shares: Vec<_> = services
        .chain(waits)
        .filter(|(_, _, time)| *time > 0)
        .collect();
    shares.sort_by_key(|(_, name, time)| (std::cmp::Reverse(*time), *name));
    let share = |(kind, name, time): (&str, &str, u64)| json!({ "kind": kind, "name": name, "time": time.to_string() });
    shares.into_iter().map(share).collect()
}

/// Spans of other traces that are linked to this one, the newest few.
fn linked_from(store: &Store, id: TraceId) -> Vec<Json> {
    const FEW: usize = 5;
    store.newest(FEW, |other| {
        let linked = |span: &&Arc<Span>| span.links.iter().any(|link| link.trace_id == Some(id));
        let span = other.spans.iter().filter(|_| other.id != id).find(linked)?;
        Some(json!({
            "trace": other.id.to_string(),
            "span": span.id.to_string(),
            "service": span.resource.service,
            "name": span.name,
        }))
    })
}

#[derive(Serialize)]
struct SpanView<'a> {
    id: String,
    parent: Option<String>,
    missing: Option<String>,
    depth: usize,
    name: &'a str,
    kind: &'static str,
    resource: usize,
    scope: String,
    start: String,
    end: String,
    failed: bool,
    message: &'a str,
    trace_state: &'a str,
    attributes: Vec<(&'a str, &'static str, Cow<'a, str>)>,
    events: Vec<Json>,
    links: Vec<Json>,
    critical: Vec<(String, String)>,
    queue: Option<String>,
    outbox: Option<String>,
    attempt: Option<i64>,
    dead_letter: bool,
    replay: bool,
    unprocessed: bool,
}

fn span<'a>(tree: &Tree, node: &'a Node, critical: &[(u64, u64)], resource: usize) -> SpanView<'a> {
    let span = &*node.span;
    SpanView {
        id: span.id.to_string(),
        parent: node
            .parent
            .map(|parent| tree.nodes[parent].span.id.to_string()),
        missing: node.missing.map(|id| id.to_string()),
        depth: node.depth,
        name: &span.name,
        kind: span.kind.name(),
        resource,
        scope: format!("{} {}", span.scope.name, span.scope.version)
            .trim()
            .to_owned(),
        start: span.start.to_string(),
        end: span.end.to_string(),
        failed: span.failed(),
        message: &span.status.message,
        trace_state: &span.trace_state,
        attributes: attributes(&span.attributes),
        events: span.events.iter().map(event).collect(),
        links: span.links.iter().map(link).collect(),
        critical: critical
            .iter()
            .map(|(from, to)| (from.to_string(), to.to_string()))
            .collect(),
        queue: messages::queue_time(span).map(|time| time.to_string()),
        outbox: messages::outbox_time(span).map(|time| time.to_string()),
        attempt: messages::attempt(span).filter(|attempt| *attempt > 1),
        dead_letter: messages::is_dead_letter(span),
        replay: messages::is_replay(tree, node),
        unprocessed: messages::is_unprocessed(tree, node),
    }
}

/// Key, kind and text of each.
fn attributes(attributes: &[Attribute]) -> Vec<(&str, &'static str, Cow<'_, str>)> {
    let values = attributes
        .iter()
        .map(|attribute| (&*attribute.key, &attribute.value));
    values
        .map(|(key, value)| (key, kind(value), value.to_text()))
        .collect()
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Text(_) => "string",
        Value::Bool(_) => "bool",
        Value::Int(_) => "int",
        Value::Float(_) => "double",
        Value::Bytes(_) => "bytes",
        Value::Json(_) => "json",
        Value::Empty => "empty",
    }
}

fn event(event: &Event) -> Json {
    json!({
        "time": event.time.to_string(),
        "name": event.name,
        "attributes": attributes(&event.attributes),
    })
}

fn link(link: &Link) -> Json {
    json!({
        "trace": link.trace_id.as_ref().map(TraceId::to_string),
        "span": link.span_id.as_ref().map(SpanId::to_string),
        "attributes": attributes(&link.attributes),
    })
}

fn log_line(line: &LogLine) -> Json {
    json!({
        "span": line.span_id.as_ref().map(SpanId::to_string),
        "time": line.time.to_string(),
        "severity": line.severity,
        "service": line.resource.service,
        "body": line.body.to_text(),
        "attributes": attributes(&line.attributes),
    })
}
