//! One trace, with everything that the page shows about it.
//!
//! Whole numbers and times are texts: JavaScript's numbers would round them.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use serde_json::{Value as Json, json};

use super::critical::CriticalPath;
use super::entities::Subject;
use super::journey::take_links_to;
use super::tree::{Node, Tree};
use super::{list, messages};
use crate::answers::Seq;
use crate::app::App;
use crate::model::{Attribute, Event, Link, LogLine, Resource, Span, SpanId, TraceId, Value};
use crate::store::{Store, Trace};

/// Writes a trace as it was at that time (nanoseconds since 1970).
pub(super) struct View {
    pub(super) app: App,
    pub(super) trace: Arc<Trace>,
    /// The entity whose verdict is wanted, when the trace is about several.
    pub(super) entity: Option<String>,
    pub(super) now: u64,
}

impl Serialize for View {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { app, trace, .. } = self;
        let _room = app.answers.room(trace.spans.len());
        let mut tree = Tree::new(trace, &app.settings);
        take_links_to(&mut tree, &app.store, trace.id);
        let path = CriticalPath::of(&tree);
        let (start, end) = tree.bounds();
        let subject = Subject::of(&app.store, trace, &tree, self.entity.as_deref(), self.now);
        let (resources, places) = resources(&tree);
        let spans = || {
            let nodes = tree.nodes.iter().enumerate();
            nodes.map(|(at, node)| span(&tree, node, &path.parts[at], places[at]))
        };
        let logs = || trace.log_lines.iter().map(|line| log_line(line));
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("id", &trace.id.to_string())?;
        map.serialize_entry("now", &self.now.to_string())?;
        map.serialize_entry("start", &start.to_string())?;
        map.serialize_entry("end", &end.to_string())?;
        map.serialize_entry("entity", &subject.entity)?;
        map.serialize_entry("entities", &subject.each)?;
        map.serialize_entry("verdict", &subject.verdict)?;
        map.serialize_entry("refused", &trace.refused)?;
        map.serialize_entry("shares", &shares(&path))?;
        map.serialize_entry("resources", &resources)?;
        map.serialize_entry("spans", &Seq(spans))?;
        map.serialize_entry("held", &list::held(&app.store.counts()))?;
        map.serialize_entry("linked_from", &linked_from(&app.store, trace.id))?;
        map.serialize_entry("logs", &Seq(logs))?;
        map.end()
    }
}

/// The resources as JSON, and for each span the place of its own. A trace holds equal ones once, so identity is
/// equality.
fn resources(tree: &Tree) -> (Vec<Json>, Vec<usize>) {
    let mut resources = Vec::new();
    let mut known: HashMap<*const Resource, usize> = HashMap::new();
    let place = |node: &Node| {
        let resource = &node.span.resource;
        *known.entry(Arc::as_ptr(resource)).or_insert_with(|| {
            resources.push(json!({
                "service": resource.service,
                "attributes": attributes(&resource.attributes),
            }));
            resources.len() - 1
        })
    };
    let places = tree.nodes.iter().map(place).collect();
    (resources, places)
}

/// The time of the critical path by service, the longest first.
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

/// Spans of other traces that link to this one: the newest few.
fn linked_from(store: &Store, id: TraceId) -> Vec<Json> {
    const FEW: usize = 5;
    let others = store.linking_to(id, FEW).into_iter();
    let linking = others.filter_map(|other| {
        let linked = |span: &&Arc<Span>| span.links.iter().any(|link| link.trace_id == Some(id));
        let span = other.spans.iter().find(linked)?;
        Some(json!({
            "trace": other.id.to_string(),
            "span": span.id.to_string(),
            "service": span.resource.service,
            "name": span.name,
        }))
    });
    linking.collect()
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
    let settings = tree.settings;
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
        queue: messages::queue_time(span, settings).map(|time| time.to_string()),
        outbox: messages::outbox_time(span, settings).map(|time| time.to_string()),
        attempt: messages::attempt(span, settings).filter(|attempt| *attempt > 1),
        dead_letter: messages::is_dead_letter(span, settings),
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
