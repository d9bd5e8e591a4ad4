//! One trace as it is held: what came, and what it costs.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::SystemTime;

use crate::model::{HeapSize, LogLine, Resource, Scope, Span, TraceId};

/// What a trace costs beside what it holds: its places in the store's maps.
const PER_TRACE: usize = size_of::<Trace>() + 256;

/// What a reference-counted value costs beside itself: its counts and its place in a list.
const PER_ARC: usize = 48;

/// The spans and log lines of one trace, in the order in which they came.
#[derive(Debug, Clone)]
pub(crate) struct Trace {
    /// Its id.
    pub(crate) id: TraceId,
    /// What came, duplicates too.
    pub(crate) spans: Vec<Arc<Span>>,
    /// What its services logged.
    pub(crate) log_lines: Vec<Arc<LogLine>>,
    /// True when one of its spans failed.
    pub(crate) failed: bool,
    /// When the first of it came.
    pub(crate) since: SystemTime,
    /// What it costs.
    pub(super) bytes: usize,
    pub(super) first_arrival: u64,
    pub(super) last_arrival: u64,
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
            bytes: PER_TRACE,
            first_arrival: arrival,
            last_arrival: arrival,
            resources: Vec::new(),
            scopes: Vec::new(),
        }
    }

    /// The services that something came from.
    pub(crate) fn services(&self) -> impl Iterator<Item = &str> {
        self.resources.iter().map(|resource| &*resource.service)
    }

    /// The spans, each once: a sender that retries sends a batch again.
    pub(crate) fn spans_once(&self) -> Vec<Arc<Span>> {
        let mut seen = HashSet::with_capacity(self.spans.len());
        let spans = self
            .spans
            .iter()
            .filter(|span| seen.insert(Arc::clone(span)));
        spans.cloned().collect()
    }

    pub(super) fn add_span(&mut self, mut span: Span) {
        span.resource = self.shared_resource(span.resource);
        span.scope = self.shared_scope(span.scope);
        self.failed |= span.failed();
        self.bytes += size_of::<Span>() + PER_ARC + span.heap_size();
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
