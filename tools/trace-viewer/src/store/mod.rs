//! The traces in memory, bounded in bytes.
//!
//! What goes first when the room is used up: whole traces, the one that was quiet for longest first, those
//! with an error last. Errors are what one looks for a day later; but they may use half of the room only, or
//! a day of failures would leave no place for what happens now. Nothing is written to disk.

mod trace;

use std::collections::{BTreeMap, HashMap};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::SystemTime;

use tokio::sync::broadcast;

pub(crate) use trace::Trace;

use crate::model::{LogLine, Span, TraceId};

/// How many changes a slow listener may be behind before it misses some.
const CHANGES_KEPT: usize = 1024;

/// Every trace that is held.
#[derive(Debug)]
pub(crate) struct Store {
    held: RwLock<Held>,
    changes: broadcast::Sender<TraceId>,
}

/// How much is held, and of how much.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Traces held now.
    pub(crate) traces: usize,
    /// Traces ever begun.
    pub(crate) traces_seen: u64,
    /// Spans held now.
    pub(crate) spans: usize,
    /// Spans ever taken.
    pub(crate) spans_seen: u64,
    /// Bytes held now.
    pub(crate) bytes: usize,
    /// Bytes that may be held.
    pub(crate) max_bytes: usize,
    /// When the longest held trace came; the store's own start when nothing has gone yet.
    pub(crate) since: SystemTime,
}

impl Store {
    /// An empty one that keeps at most so many bytes.
    #[must_use]
    pub(crate) fn new(max_bytes: usize) -> Self {
        let (changes, _) = broadcast::channel(CHANGES_KEPT);
        Self {
            held: RwLock::new(Held::new(max_bytes)),
            changes,
        }
    }

    /// Takes spans, of any trace, in any order.
    pub(crate) fn add_spans(&self, spans: Vec<Span>) {
        let mut held = self.write();
        for span in spans {
            let id = span.trace_id;
            held.add(id, |trace| trace.add_span(span));
            let _ = self.changes.send(id);
        }
    }

    /// Takes log lines; they may come before their spans.
    pub(crate) fn add_log_lines(&self, lines: Vec<LogLine>) {
        let mut held = self.write();
        for line in lines {
            let id = line.trace_id;
            held.add(id, |trace| trace.add_log_line(line));
            let _ = self.changes.send(id);
        }
    }

    /// One trace, as it is now. Copies the list of its spans, not the spans.
    #[must_use]
    pub(crate) fn trace(&self, id: TraceId) -> Option<Trace> {
        self.read()
            .traces
            .get(&id)
            .filter(|trace| !trace.spans.is_empty())
            .cloned()
    }

    /// What `pick` makes of the traces, the newest first by arrival, until there are `limit` of it.
    pub(crate) fn newest<T>(&self, limit: usize, pick: impl FnMut(&Trace) -> Option<T>) -> Vec<T> {
        let held = self.read();
        let newest = held
            .by_arrival
            .values()
            .rev()
            .filter_map(|id| held.traces.get(id));
        newest
            .filter(|trace| !trace.spans.is_empty())
            .filter_map(pick)
            .take(limit)
            .collect()
    }

    /// How much is held.
    #[must_use]
    pub(crate) fn counts(&self) -> Counts {
        self.read().counts()
    }

    /// The ids of traces that change from now on.
    #[must_use]
    pub(crate) fn changes(&self) -> broadcast::Receiver<TraceId> {
        self.changes.subscribe()
    }

    /// A panic under the lock can't leave it half changed in a way that matters: at worst a count is off.
    fn read(&self) -> RwLockReadGuard<'_, Held> {
        self.held.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Held> {
        self.held.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The traces, and the three orders in which they are walked.
#[derive(Debug)]
struct Held {
    traces: HashMap<TraceId, Trace>,
    by_arrival: BTreeMap<u64, TraceId>,
    /// By the last thing that came for them; those with an error apart.
    quiet: BTreeMap<u64, TraceId>,
    quiet_failed: BTreeMap<u64, TraceId>,
    bytes: usize,
    failed_bytes: usize,
    max_bytes: usize,
    spans: usize,
    spans_seen: u64,
    traces_seen: u64,
    clock: u64,
    since: SystemTime,
}

impl Held {
    fn new(max_bytes: usize) -> Self {
        Self {
            traces: HashMap::new(),
            by_arrival: BTreeMap::new(),
            quiet: BTreeMap::new(),
            quiet_failed: BTreeMap::new(),
            bytes: 0,
            failed_bytes: 0,
            max_bytes,
            spans: 0,
            spans_seen: 0,
            traces_seen: 0,
            clock: 0,
            since: SystemTime::now(),
        }
    }

    /// Changes one trace, which is made if it is not there, and then makes room again.
    fn add(&mut self, id: TraceId, change: impl FnOnce(&mut Trace)) {
        self.clock += 1;
        let mut trace = self.take(id).unwrap_or_else(|| {
            self.traces_seen += 1;
            Trace::new(id, self.clock)
        });
        let spans_before = trace.spans.len();
        change(&mut trace);
        trace.last_arrival = self.clock;
        self.spans_seen += (trace.spans.len() - spans_before) as u64;
        self.put(trace);
        self.make_room();
    }

    fn take(&mut self, id: TraceId) -> Option<Trace> {
        let trace = self.traces.remove(&id)?;
        self.by_arrival.remove(&trace.first_arrival);
        self.queue(trace.failed).remove(&trace.last_arrival);
        self.spans -= trace.spans.len();
        self.bytes -= trace.bytes;
        if trace.failed {
            self.failed_bytes -= trace.bytes;
        }
        Some(trace)
    }

    fn put(&mut self, trace: Trace) {
        self.by_arrival.insert(trace.first_arrival, trace.id);
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
            let errors_first = self.failed_bytes > self.max_bytes / 2 || self.quiet.is_empty();
            let Some(id) = self.queue(errors_first).values().next().copied() else {
                return;
            };
            self.take(id);
            let longest_held = self
                .by_arrival
                .values()
                .next()
                .and_then(|id| self.traces.get(id));
            self.since = longest_held.map_or_else(SystemTime::now, |trace| trace.since);
        }
    }

    fn counts(&self) -> Counts {
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

#[cfg(test)]
mod tests;
