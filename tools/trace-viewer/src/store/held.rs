//! The traces, and the orders in which they are walked.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use super::{Counts, Trace};
use crate::model::TraceId;

/// Everything behind the store's lock.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) traces: HashMap<TraceId, Arc<Trace>>,
    /// By `first_arrival`.
    pub(super) by_arrival: BTreeMap<u64, TraceId>,
    /// For each trace the traces that link to it, with their `first_arrival`.
    pub(super) linking: HashMap<TraceId, BTreeSet<(u64, TraceId)>>,
    /// By `last_arrival`; traces with an error apart.
    quiet: BTreeMap<u64, TraceId>,
    quiet_failed: BTreeMap<u64, TraceId>,
    bytes: usize,
    failed_bytes: usize,
    max_bytes: usize,
    /// The bounds of a single trace.
    max_trace_bytes: usize,
    max_spans: usize,
    spans: usize,
    spans_seen: u64,
    traces_seen: u64,
    /// Counts the changes. It starts at the time of day in microseconds, so that the clock of a viewer that was
    /// started again is ahead of the one before.
    pub(super) clock: u64,
    pub(super) start: u64,
    since: SystemTime,
}

impl Held {
    pub(super) fn new(max_bytes: usize, max_spans: usize) -> Self {
        let since = SystemTime::now();
        let start = since.duration_since(UNIX_EPOCH).unwrap_or_default();
        let start = u64::try_from(start.as_micros()).unwrap_or_default();
        Self {
            traces: HashMap::new(),
            by_arrival: BTreeMap::new(),
            linking: HashMap::new(),
            quiet: BTreeMap::new(),
            quiet_failed: BTreeMap::new(),
            bytes: 0,
            failed_bytes: 0,
            max_bytes,
            max_trace_bytes: max_bytes / 3 * 2,
            max_spans,
            spans: 0,
            spans_seen: 0,
            traces_seen: 0,
            clock: start,
            start,
            since,
        }
    }

    /// Adds items to a trace, which is made when it is not there, and then makes room again. Returns how many
    /// items were refused because the trace is full.
    pub(super) fn add<T>(
        &mut self,
        id: TraceId,
        items: Vec<T>,
        add: impl Fn(&mut Trace, T),
    ) -> usize {
        self.clock += 1;
        let mut shared = self.take(id).unwrap_or_else(|| {
            self.traces_seen += 1;
            Arc::new(Trace::new(id, self.clock))
        });
        // Copies the lists of a trace that is being read, not its spans.
        let trace = Arc::make_mut(&mut shared);
        let spans_before = trace.spans.len();
        let mut refused = 0;
        for item in items {
            if trace.bytes < self.max_trace_bytes && trace.spans.len() < self.max_spans {
                add(trace, item);
            } else {
                refused += 1;
            }
        }
        trace.refused += refused as u64;
        trace.last_arrival = self.clock;
        self.spans_seen += (trace.spans.len() - spans_before) as u64;
        self.put(shared);
        self.make_room();
        refused
    }

    pub(super) fn changed_since(&self, clock: u64) -> impl Iterator<Item = TraceId> {
        let queues = [&self.quiet, &self.quiet_failed].into_iter();
        queues.flat_map(move |queue| queue.range(clock + 1..).map(|(_, id)| *id))
    }

    fn take(&mut self, id: TraceId) -> Option<Arc<Trace>> {
        let trace = self.traces.remove(&id)?;
        self.by_arrival.remove(&trace.first_arrival);
        for other in &trace.links_to {
            if let Some(linking) = self.linking.get_mut(other) {
                linking.remove(&(trace.first_arrival, id));
                if linking.is_empty() {
                    self.linking.remove(other);
                }
            }
        }
        self.queue(trace.failed).remove(&trace.last_arrival);
        self.spans -= trace.spans.len();
        self.bytes -= trace.bytes;
        if trace.failed {
            self.failed_bytes -= trace.bytes;
        }
        Some(trace)
    }

    fn put(&mut self, trace: Arc<Trace>) {
        self.by_arrival.insert(trace.first_arrival, trace.id);
        for other in &trace.links_to {
            let linking = self.linking.entry(*other).or_default();
            linking.insert((trace.first_arrival, trace.id));
        }
        self.queue(trace.failed)
            .insert(trace.last_arrival, trace.id);
        self.spans += trace.spans.len();
        self.bytes += trace.bytes;
        if trace.failed {
            self.failed_bytes += trace.bytes;
        }
        self.traces.insert(trace.id, trace);
    }

    fn queue(&mut self, failed: bool) -> &mut BTreeMap<u64, TraceId> {
        if failed {
            &mut self.quiet_failed
        } else {
            &mut self.quiet
        }
    }

    fn make_room(&mut self) {
        while self.bytes > self.max_bytes {
            let errors_first = self.failed_bytes > self.max_bytes / 2;
            let quietest = self.quietest(errors_first);
            let Some(id) = quietest.or_else(|| self.quietest(!errors_first)) else {
                return;
            };
            self.take(id);
            let longest_held = self.by_arrival.values().next();
            let longest_held = longest_held.and_then(|id| self.traces.get(id));
            self.since = longest_held.map_or_else(SystemTime::now, |trace| trace.since);
        }
    }

    /// The trace that was quiet for longest, among those that nobody is reading.
    fn quietest(&mut self, failed: bool) -> Option<TraceId> {
        let queue = if failed {
            &self.quiet_failed
        } else {
            &self.quiet
        };
        let unread = |id: &&TraceId| {
            self.traces
                .get(id)
                .is_some_and(|trace| Arc::strong_count(trace) == 1)
        };
        queue.values().find(unread).copied()
    }

    pub(super) fn counts(&self) -> Counts {
        Counts {
            traces: self.traces.len(),
            traces_seen: self.traces_seen,
            spans: self.spans,
            spans_seen: self.spans_seen,
            bytes: self.bytes,
            max_bytes: self.max_bytes,
            since: self.since,
        }
    }
}
