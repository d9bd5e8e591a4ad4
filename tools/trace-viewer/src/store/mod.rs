//! The traces in memory, bounded in bytes.
//!
//! Nothing is written to disk. When the room is used up, whole traces are dropped: the one that was quiet for
//! longest first, traces with an error last. People look for errors a day later; but traces with errors may use
//! half of the room only, or a day of failures would leave no room for what happens now.
//!
//! | part of the memory (`VIEWER_MEMORY_BYTES`) | used for |
//! |---|---|
//! | three quarters | the traces; a single one at most two thirds of them |
//! | one quarter | the answers that are being written, see `answers` |
//!
//! A reader takes a few traces at a time and lets go of the lock before it looks at them, so that a search never
//! holds up spans that come in. A trace that is being read is not dropped: it would stay in memory, uncounted.

mod held;
mod trace;

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::SystemTime;

pub(crate) use trace::Trace;

use crate::model::{LogLine, Span, TraceId};
use held::Held;

/// How many traces a walk takes from the store at once.
const WALK: usize = 64;

/// How many changed traces are named before the answer is that everything may have changed.
const CHANGES_TOLD: usize = 500;

/// Every trace that is held.
#[derive(Debug)]
pub(crate) struct Store {
    held: RwLock<Held>,
}

/// How much is held, and how much may be.
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
    /// When the longest held trace came; the store's own start when nothing was dropped yet.
    pub(crate) since: SystemTime,
}

impl Store {
    /// An empty store. `max_bytes` is for all traces, `max_spans` for a single one.
    #[must_use]
    pub(crate) fn new(max_bytes: usize, max_spans: usize) -> Self {
        Self {
            held: RwLock::new(Held::new(max_bytes, max_spans)),
        }
    }

    /// Takes spans, of any trace, in any order. Returns how many were refused because their trace is full.
    pub(crate) fn add_spans(&self, spans: Vec<Span>) -> usize {
        let mut held = self.write();
        let of_traces = by_trace(spans, |span| span.trace_id).into_iter();
        of_traces
            .map(|(id, spans)| held.add(id, spans, Trace::add_span))
            .sum()
    }

    /// Takes log lines; they may come before their spans. Returns how many were refused.
    pub(crate) fn add_log_lines(&self, lines: Vec<LogLine>) -> usize {
        let mut held = self.write();
        let of_traces = by_trace(lines, |line| line.trace_id).into_iter();
        of_traces
            .map(|(id, lines)| held.add(id, lines, Trace::add_log_line))
            .sum()
    }

    /// One trace, as it is now.
    #[must_use]
    pub(crate) fn trace(&self, id: TraceId) -> Option<Arc<Trace>> {
        let held = self.read();
        let trace = held.traces.get(&id);
        trace.filter(|trace| !trace.spans.is_empty()).cloned()
    }

    /// The traces, the newest first by arrival.
    pub(crate) fn newest(&self) -> Walk<'_> {
        self.older_than(u64::MAX)
    }

    /// The traces whose `first_arrival` is smaller, the newest first.
    pub(crate) fn older_than(&self, arrival: u64) -> Walk<'_> {
        Walk {
            store: self,
            before: arrival,
            taken: Vec::new(),
        }
    }

    /// The traces with a span that links to this trace, the newest first.
    pub(crate) fn linking_to(&self, id: TraceId, limit: usize) -> Vec<Arc<Trace>> {
        let held = self.read();
        let linking = held.linking.get(&id).into_iter().flatten().rev();
        let traces = linking.filter_map(|(_, id)| held.traces.get(id));
        traces.take(limit).cloned().collect()
    }

    /// The store's clock, and the traces that changed after that time. `None` when they are too many to name,
    /// or when that time is not one of this store's.
    pub(crate) fn changed_since(&self, clock: u64) -> (u64, Option<Vec<TraceId>>) {
        let held = self.read();
        let changed = (held.start..=held.clock).contains(&clock).then(|| {
            let changed = held.changed_since(clock).take(CHANGES_TOLD + 1);
            changed.collect::<Vec<_>>()
        });
        let changed = changed.filter(|changed| changed.len() <= CHANGES_TOLD);
        (held.clock, changed)
    }

    /// How much is held.
    #[must_use]
    pub(crate) fn counts(&self) -> Counts {
        self.read().counts()
    }

    /// A panic under the lock cannot leave the content half changed in a way that matters: at worst a count
    /// is off.
    fn read(&self) -> RwLockReadGuard<'_, Held> {
        self.held.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Held> {
        self.held.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A walk over the traces. It holds a few of them at a time, and the lock only while it takes these.
pub(crate) struct Walk<'a> {
    store: &'a Store,
    /// Where it goes on: below this `first_arrival`.
    before: u64,
    /// The oldest first.
    taken: Vec<Arc<Trace>>,
}

impl Iterator for Walk<'_> {
    type Item = Arc<Trace>;

    fn next(&mut self) -> Option<Arc<Trace>> {
        if self.taken.is_empty() {
            let held = self.store.read();
            let ids = held.by_arrival.range(..self.before).rev();
            let traces = ids.filter_map(|(_, id)| held.traces.get(id));
            let traces = traces.filter(|trace| !trace.spans.is_empty());
            self.taken = traces.take(WALK).cloned().collect();
            self.taken.reverse();
        }
        let next = self.taken.pop()?;
        self.before = next.first_arrival;
        Some(next)
    }
}

/// The items of each trace together, the traces in the order of their first item.
fn by_trace<T>(items: Vec<T>, trace: impl Fn(&T) -> TraceId) -> Vec<(TraceId, Vec<T>)> {
    let mut place = std::collections::HashMap::new();
    let mut groups: Vec<(TraceId, Vec<T>)> = Vec::new();
    for item in items {
        let id = trace(&item);
        let at = *place.entry(id).or_insert(groups.len());
        match groups.get_mut(at) {
            Some((_, group)) => group.push(item),
            None => groups.push((id, vec![item])),
        }
    }
    groups
}

#[cfg(test)]
mod tests;
