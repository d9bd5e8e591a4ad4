//! The list of traces, newest first, and what it can be narrowed to.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::sync::Arc;

use serde::ser::SerializeMap;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Value as Json, json};

use super::entities::Subject;
use super::messages::queue_time;
use super::nanos;
use super::tree::Tree;
use super::verdict::Verdict;
use crate::answers::Seq;
use crate::app::App;
use crate::model::{Span, TraceId};
use crate::store::{Counts, Store, Trace};

const DEFAULT_LIMIT: usize = 100;
const MAX_LIMIT: usize = 1_000;

/// What the list can be narrowed to, as it stands in an address. Empty means not at all.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Filter {
    q: String,
    service: String,
    operation: String,
    status: String,
    min: String,
    limit: String,
    before: String,
}

/// The filter, parsed.
pub(super) struct Parsed {
    words: Vec<Word>,
    service: String,
    operation: String,
    status: Option<bool>,
    min_nanos: u64,
    limit: usize,
    /// Only traces that came before this one: the `next` of another list.
    before: u64,
}

/// One word of a search.
enum Word {
    /// `key=value`: some span says exactly that.
    Tag(String, String),
    /// Part of a service's or an operation's name, or the whole of a trace's id.
    Text(String, Option<TraceId>),
}

impl Filter {
    pub(super) fn parse(self) -> Result<Parsed, String> {
        Ok(Parsed {
            words: self.q.split_whitespace().map(Word::parse).collect(),
            service: self.service,
            operation: self.operation,
            status: match self.status.as_str() {
                "" => None,
                "error" => Some(true),
                "ok" => Some(false),
                other => return Err(format!("status: must be error or ok, is {other:?}")),
            },
            min_nanos: match self.min.as_str() {
                "" => 0,
                millis => millis
                    .parse::<u64>()
                    .map_err(|_| "min: must be milliseconds")?
                    .saturating_mul(1_000_000),
            },
            limit: match self.limit.as_str() {
                "" => DEFAULT_LIMIT,
                limit => limit.parse().map_err(|_| "limit: must be a number")?,
            },
            before: match self.before.as_str() {
                "" => u64::MAX,
                before => before.parse().map_err(|_| "before: must be a number")?,
            },
        })
    }
}

impl Word {
    fn parse(word: &str) -> Self {
        match word.split_once('=') {
            Some((key, value)) => Self::Tag(key.to_owned(), value.to_owned()),
            None => Self::Text(word.to_owned(), TraceId::from_hex(word)),
        }
    }

    fn fits(&self, trace: &Trace) -> bool {
        match self {
            Self::Tag(key, value) => trace.spans.iter().any(|span| says(span, key, value)),
            Self::Text(text, id) => {
                *id == Some(trace.id) || trace.spans.iter().any(|span| names(span, text))
            }
        }
    }
}

fn says(span: &Span, key: &str, value: &str) -> bool {
    crate::jaeger::tag_matches(span, key, value)
}

fn names(span: &Span, text: &str) -> bool {
    contains(&span.name, text) || contains(&span.resource.service, text)
}

/// Whether in capitals or not, without a copy: a search looks at every span.
fn contains(name: &str, word: &str) -> bool {
    let mut parts = name.as_bytes().windows(word.len().max(1));
    parts.any(|part| part.eq_ignore_ascii_case(word.as_bytes()))
}

impl Parsed {
    fn fits(&self, trace: &Trace) -> bool {
        let service =
            |span: &Span| self.service.is_empty() || *span.resource.service == *self.service;
        let operation = |span: &Span| self.operation.is_empty() || *span.name == *self.operation;
        self.status.is_none_or(|failed| trace.failed == failed)
            && trace
                .spans
                .iter()
                .any(|span| service(span) && operation(span))
            && (self.min_nanos == 0 || length(trace) >= self.min_nanos)
            && self.words.iter().all(|word| word.fits(trace))
    }
}

fn start(trace: &Trace) -> u64 {
    let starts = trace.spans.iter().map(|span| span.start);
    starts.min().unwrap_or_default()
}

fn length(trace: &Trace) -> u64 {
    let ends = trace.spans.iter().map(|span| span.end.max(span.start));
    ends.max().unwrap_or_default() - start(trace)
}

/// One row of the list. Times are texts: JavaScript would round them.
#[derive(Serialize)]
pub(super) struct Row {
    id: String,
    entity: Option<String>,
    /// The number of entities.
    entities: usize,
    service: Box<str>,
    name: Box<str>,
    start: String,
    duration: String,
    queue: Option<String>,
    services: BTreeSet<Box<str>>,
    spans: usize,
    errors: usize,
    verdict: Verdict,
}

/// Writes the rows that fit, and what there is to choose from.
pub(super) struct List {
    pub(super) app: App,
    pub(super) filter: Parsed,
    /// Nanoseconds since 1970.
    pub(super) now: u64,
}

impl Serialize for List {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { app, filter, now } = self;
        let limit = filter.limit.min(MAX_LIMIT);
        let last = Cell::new(filter.before);
        let found = || app.store.older_than(last.get());
        let rows = || {
            let found = found().filter(|trace| filter.fits(trace)).take(limit);
            found.map(|trace| {
                last.set(trace.first_arrival);
                row(app, &trace, None, *now)
            })
        };
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("traces", &Seq(rows))?;
        let more = found().any(|trace| filter.fits(&trace));
        map.serialize_entry("next", &more.then(|| last.get().to_string()))?;
        let (services, operations) = choices(&app.store, &filter.service);
        map.serialize_entry("services", &services)?;
        map.serialize_entry("operations", &operations)?;
        map.serialize_entry("held", &held(&app.store.counts()))?;
        map.serialize_entry("now", &now.to_string())?;
        map.end()
    }
}

/// Every service, and the operations of the chosen one.
fn choices(store: &Store, service: &str) -> (BTreeSet<Box<str>>, BTreeSet<Box<str>>) {
    let mut services = BTreeSet::new();
    let mut operations = BTreeSet::new();
    for trace in store.newest() {
        for name in trace.services() {
            add(&mut services, name);
        }
        if trace.services().any(|name| name == service) {
            let of_service = |span: &&Arc<Span>| *span.resource.service == *service;
            for span in trace.spans.iter().filter(of_service) {
                add(&mut operations, &span.name);
            }
        }
    }
    (services, operations)
}

fn add(names: &mut BTreeSet<Box<str>>, name: &str) {
    if !names.contains(name) {
        names.insert(name.into());
    }
}

/// The rows of one entity, each with the verdict on it.
pub(super) fn of_entity(app: &App, entity: &str, now: u64) -> Vec<Row> {
    let Some(attribute) = app.settings.entity.as_deref() else {
        return Vec::new();
    };
    let is_about = |trace: &Arc<Trace>| {
        let mut spans = trace.spans.iter();
        spans.any(|span| span.text(attribute) == Some(entity))
    };
    let found = app.store.newest().filter(is_about).take(DEFAULT_LIMIT);
    found
        .map(|trace| row(app, &trace, Some(entity), now))
        .collect()
}

/// How much is held of how much was seen, for the foot of the page.
pub(super) fn held(counts: &Counts) -> Json {
    json!({
        "traces": counts.traces,
        "traces_seen": counts.traces_seen,
        "spans": counts.spans,
        "spans_seen": counts.spans_seen,
        "bytes": counts.bytes,
        "max_bytes": counts.max_bytes,
        "since": nanos(counts.since).to_string(),
    })
}

fn row(app: &App, trace: &Trace, entity: Option<&str>, now: u64) -> Row {
    let _room = app.answers.room(trace.spans.len());
    let tree = Tree::new(trace, &app.settings);
    let subject = Subject::of(&app.store, trace, &tree, entity, now);
    let (start, end) = tree.bounds();
    let spans = || tree.nodes.iter().map(|node| &*node.span);
    let queues: Vec<u64> = spans()
        .filter_map(|span| queue_time(span, tree.settings))
        .collect();
    let root = tree.root().map(|root| &*root.span);
    Row {
        id: trace.id.to_string(),
        entity: subject.entity,
        entities: subject.count,
        service: root
            .map(|root| root.resource.service.clone())
            .unwrap_or_default(),
        name: root.map(|root| root.name.clone()).unwrap_or_default(),
        start: start.to_string(),
        duration: (end - start).to_string(),
        queue: (!queues.is_empty()).then(|| queues.iter().sum::<u64>().to_string()),
        services: trace.services().map(Into::into).collect(),
        spans: tree.nodes.len(),
        errors: spans().filter(|span| span.failed()).count(),
        verdict: subject.verdict,
    }
}
