//! The list of traces, newest first, and what it can be narrowed to.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

use super::critical::CriticalPath;
use super::messages::queue_time;
use super::nanos;
use super::tree::Tree;
use super::verdict::{self, Verdict};
use crate::model::{Span, TraceId};
use crate::store::{Counts, Store, Trace};

const DEFAULT_LIMIT: usize = 100;
const MAX_LIMIT: usize = 1_000;
const ORDER_ID: &str = "order.id";

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
}

/// The same, understood.
pub(super) struct Parsed {
    words: Vec<Word>,
    service: String,
    operation: String,
    status: Option<bool>,
    min_nanos: u64,
    limit: usize,
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
    order: Option<String>,
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

/// The rows that fit, and what there is to choose from.
pub(super) fn list(store: &Store, filter: &Parsed, now: u64) -> Json {
    let limit = filter.limit.min(MAX_LIMIT);
    let mut found = store.newest(limit, |trace| filter.fits(trace).then(|| trace.clone()));
    // Services do not send in the order in which their spans began.
    found.sort_by_key(|trace| Reverse(start(trace)));
    let rows: Vec<Row> = found.iter().map(|trace| row(trace, now)).collect();
    let (services, operations) = choices(store, &filter.service);
    json!({
        "traces": rows,
        "more": rows.len() == limit,
        "services": services,
        "operations": operations,
        "held": held(&store.counts()),
        "now": now.to_string(),
    })
}

/// Every service, and the operations of the chosen one. A walk over all that is held, while nothing can come
/// in: so it looks at the spans of that service's traces only, and copies each name once.
fn choices(store: &Store, service: &str) -> (BTreeSet<Box<str>>, BTreeSet<Box<str>>) {
    let mut services = BTreeSet::new();
    let mut operations = BTreeSet::new();
    store.newest(usize::MAX, |trace| {
        for name in trace.services() {
            add(&mut services, name);
        }
        if trace.services().any(|name| name == service) {
            let of_service = |span: &&Arc<Span>| *span.resource.service == *service;
            for span in trace.spans.iter().filter(of_service) {
                add(&mut operations, &span.name);
            }
        }
        None::<()>
    });
    (services, operations)
}

fn add(names: &mut BTreeSet<Box<str>>, name: &str) {
    if !names.contains(name) {
        names.insert(name.into());
    }
}

/// The rows of one order.
pub(super) fn of_order(store: &Store, order: &str, now: u64) -> Vec<Row> {
    let found = store.newest(DEFAULT_LIMIT, |trace| {
        let mut spans = trace.spans.iter();
        spans
            .any(|span| span.text(ORDER_ID) == Some(order))
            .then(|| trace.clone())
    });
    found.iter().map(|trace| row(trace, now)).collect()
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

/// The order that a trace tells of.
pub(super) fn order_id(tree: &Tree) -> Option<&str> {
    tree.nodes.iter().find_map(|node| node.span.text(ORDER_ID))
}

fn row(trace: &Trace, now: u64) -> Row {
    let tree = Tree::new(trace);
    let path = CriticalPath::of(&tree);
    let (start, end) = tree.bounds();
    let queues: Vec<u64> = tree
        .nodes
        .iter()
        .filter_map(|node| queue_time(&node.span))
        .collect();
    let root = tree.root();
    Row {
        id: trace.id.to_string(),
        order: order_id(&tree).map(str::to_owned),
        service: root
            .map(|root| root.span.resource.service.clone())
            .unwrap_or_default(),
        name: root.map(|root| root.span.name.clone()).unwrap_or_default(),
        start: start.to_string(),
        duration: (end - start).to_string(),
        queue: (!queues.is_empty()).then(|| queues.iter().sum::<u64>().to_string()),
        services: tree
            .nodes
            .iter()
            .map(|node| node.span.resource.service.clone())
            .collect(),
        spans: tree.nodes.len(),
        errors: tree.nodes.iter().filter(|node| node.span.failed()).count(),
        verdict: verdict::of(&tree, &path, now),
    }
}
