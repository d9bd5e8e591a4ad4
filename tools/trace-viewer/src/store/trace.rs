//! One trace as it is held: what came, and what it costs.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::SystemTime;

use crate::model::{HeapSize, LogLine, Resource, Scope, Span, TraceId};

/// The bytes of a trace beside its content: its places in the store's maps.
const PER_TRACE: usize = size_of::<Trace>() + 256;

/// The bytes of a reference-counted value beside its content: its counts and its place in a list.
const PER_ARC: usize = 48;

/// The bytes of a link to another trace, in this trace's set and in the store's index.
const PER_LINKED_TRACE: usize = 160;

/// The spans and log lines of one trace, in the order in which they came.
#[derive(Debug, Clone)]
pub(crate) struct Trace {
    /// Its id.
    pub(crate) id: TraceId,
    /// The spans that came, duplicates too.
    pub(crate) spans: Vec<Arc<Span>>,
    /// The lines that its services logged.
    pub(crate) log_lines: Vec<Arc<LogLine>>,
    /// True when one of its spans failed.
    pub(crate) failed: bool,
    /// When the first part of it came.
    pub(crate) since: SystemTime,
    /// How many spans and log lines were refused because the trace is full.
    pub(crate) refused: u64,
    /// The store's clock when the first part of it came. Later traces have larger numbers.
    pub(crate) first_arrival: u64,
    /// What it costs, in bytes.
    pub(super) bytes: usize,
    pub(super) last_arrival: u64,
    /// The other traces that its spans link to.
    pub(super) links_to: HashSet<TraceId>,
    resources: Vec<Arc<Resource>>,
    scopes: Vec<Arc<Scope>>,
}

impl Trace {
    pub(super) fn new(id: TraceId, arrival: u64) -> Self {
        Self {
            id,
            spans: Vec::new(),
            log_lines: Vec::new(),
            failed: false,
            since: SystemTime::now(),
            refused: 0,
            bytes: PER_TRACE,
            first_arrival: arrival,
            last_arrival: arrival,
            links_to: HashSet::new(),
            resources: Vec::new(),
            scopes: Vec::new(),
        }
    }

    /// The services that a part of it came from.
    pub(crate) fn services(&self) -> impl Iterator<Item = &str> {
        self.resources.iter().map(|resource| &*resource.service)
    }

    /// The spans, each once: a sender that retries sends a batch again.
    pub(crate) fn spans_once(&self) -> Vec<Arc<Span>> {
        let mut seen = HashSet::with_capacity(self.spans.len());
        let spans = self.spans.iter();
        spans.filter(|span| seen.insert(*span)).cloned().collect()
    }

    pub(super) fn add_span(&mut self, mut span: Span) {
        span.resource = self.shared_resource(span.resource);
        span.scope = self.shared_scope(span.scope);
        self.failed |= span.failed();
        self.bytes += size_of::<Span>() + PER_ARC + span.heap_size();
        let linked = span.links.iter().filter_map(|link| link.trace_id);
        for other in linked.filter(|other| *other != self.id) {
            if self.links_to.insert(other) {
                self.bytes += PER_LINKED_TRACE;
            }
        }
        self.spans.push(Arc::new(span));
    }

    pub(super) fn add_log_line(&mut self, mut line: LogLine) {
        line.resource = self.shared_resource(line.resource);
        self.bytes += size_of::<LogLine>() + PER_ARC + line.heap_size();
        self.log_lines.push(Arc::new(line));
    }

    /// The equal one that this trace holds already, if it does: a trace pays for each process once.
    fn shared_resource(&mut self, resource: Arc<Resource>) -> Arc<Resource> {
        if let Some(known) = self.resources.iter().find(|known| **known == resource) {
            return Arc::clone(known);
        }
        self.bytes += size_of::<Resource>() + PER_ARC + resource.heap_size();
        self.resources.push(Arc::clone(&resource));
        resource
    }

    fn shared_scope(&mut self, scope: Arc<Scope>) -> Arc<Scope> {
        if let Some(known) = self.scopes.iter().find(|known| **known == scope) {
            return Arc::clone(known);
        }
        self.bytes += size_of::<Scope>() + PER_ARC + scope.heap_size();
        self.scopes.push(Arc::clone(&scope));
        scope
    }
}
