use std::sync::Arc;

use super::*;
use crate::model::{Kind, Link, Resource, Scope, SpanId, Status, StatusCode};

const SMALL: usize = 64 * 1024;

fn span(trace: u128, id: u64, failed: bool) -> Span {
    let code = if failed {
        StatusCode::Error
    } else {
        StatusCode::Unset
    };
    Span {
        trace_id: TraceId::new(trace).unwrap(),
        id: SpanId::new(id).unwrap(),
        parent: None,
        name: "x".repeat(100).into(),
        kind: Kind::Internal,
        start: 1,
        end: 2,
        status: Status {
            code,
            message: "".into(),
        },
        trace_state: "".into(),
        attributes: [].into(),
        events: [].into(),
        links: [].into(),
        resource: Arc::new(Resource::default()),
        scope: Arc::new(Scope::default()),
    }
}

fn linked(mut span: Span, trace: u128) -> Span {
    let link = Link {
        trace_id: TraceId::new(trace),
        span_id: SpanId::new(1),
        attributes: [].into(),
    };
    span.links = [link].into();
    span
}

fn held(store: &Store, trace: u128) -> bool {
    store.trace(TraceId::new(trace).unwrap()).is_some()
}

#[test]
fn a_flood_stays_within_the_bound() {
    let store = Store::new(SMALL, usize::MAX);
    for trace in 1..=10_000 {
        store.add_spans(vec![
            span(trace, 1, trace % 3 == 0),
            span(trace % 7 + 1, trace as u64, false),
        ]);
        assert!(store.counts().bytes <= SMALL);
    }
    assert_eq!(store.counts().spans_seen, 20_000);
    assert!(held(&store, 10_000));
}

#[test]
fn the_count_of_bytes_goes_back_to_nothing_with_the_traces() {
    let store = Store::new(0, usize::MAX);
    for trace in 1..100 {
        store.add_spans(vec![span(trace, 1, trace % 2 == 0)]);
    }
    let counts = store.counts();
    assert_eq!((counts.traces, counts.spans, counts.bytes), (0, 0, 0));
}

#[test]
fn the_longest_quiet_trace_goes_first() {
    let store = Store::new(SMALL, usize::MAX);
    store.add_spans(vec![span(1, 1, false), span(2, 1, false)]);
    store.add_spans(vec![span(1, 2, false)]);
    let mut other = 100;
    while held(&store, 2) {
        store.add_spans(vec![span(other, 1, false)]);
        other += 1;
    }
    assert!(
        held(&store, 1),
        "the trace that was added to later must outlive the quiet one"
    );
}

#[test]
fn a_failed_trace_outlives_newer_ones_that_went_well() {
    let store = Store::new(SMALL, usize::MAX);
    store.add_spans(vec![span(1, 1, true)]);
    for trace in 2..10_000 {
        store.add_spans(vec![span(trace, 1, false)]);
    }
    assert!(held(&store, 1));
}

#[test]
fn failures_leave_half_of_the_room_to_what_happens_now() {
    let store = Store::new(SMALL, usize::MAX);
    for trace in 1..10_000 {
        store.add_spans(vec![span(trace, 1, true)]);
    }
    for trace in 10_000..10_010 {
        store.add_spans(vec![span(trace, 1, false)]);
    }
    assert!((10_000..10_010).all(|trace| held(&store, trace)));
}

#[test]
fn a_trace_that_grows_without_end_is_cut_off_and_leaves_others_their_room() {
    let store = Store::new(SMALL, usize::MAX);
    store.add_spans(vec![span(2, 1, false)]);
    let refused: usize = (1..10_000)
        .map(|id| store.add_spans(vec![span(1, id, false)]))
        .sum();
    let trace = store.trace(TraceId::new(1).unwrap()).unwrap();
    assert_eq!(trace.spans.len() + refused, 9_999);
    assert_eq!(trace.refused, refused as u64);
    assert!(trace.bytes < SMALL * 3 / 4, "{}", trace.bytes);
    assert!(held(&store, 2));
}

#[test]
fn a_trace_has_a_bound_on_its_spans() {
    let store = Store::new(SMALL, 3);
    let spans = (1..=5).map(|id| span(1, id, false)).collect();
    assert_eq!(store.add_spans(spans), 2);
    assert_eq!(store.add_spans(vec![span(2, 1, false)]), 0);
}

#[test]
fn the_newest_comes_first_by_its_first_arrival() {
    let store = Store::new(SMALL * 100, usize::MAX);
    let all: Vec<u128> = (1..=200).collect();
    store.add_spans(all.iter().map(|trace| span(*trace, 1, false)).collect());
    store.add_spans(vec![span(1, 2, false)]);
    let walked: Vec<_> = store.newest().map(|trace| trace.id).collect();
    let newest = all.iter().rev().map(|id| TraceId::new(*id).unwrap());
    assert_eq!(walked, newest.collect::<Vec<_>>());
    let page: Vec<_> = store.newest().take(100).collect();
    let older = store.older_than(page[99].first_arrival).next().unwrap();
    assert_eq!(older.id, TraceId::new(100).unwrap());
}

#[test]
fn spans_come_in_while_a_search_looks_at_a_trace() {
    let store = Arc::new(Store::new(SMALL, usize::MAX));
    store.add_spans(vec![span(1, 1, false)]);
    let (done, added) = std::sync::mpsc::channel();
    for _ in store.newest() {
        let (store, done) = (Arc::clone(&store), done.clone());
        std::thread::spawn(move || {
            store.add_spans(vec![span(1, 2, false), span(2, 1, false)]);
            done.send(()).unwrap();
        });
        let patience = std::time::Duration::from_secs(20);
        added
            .recv_timeout(patience)
            .expect("the search must not hold the lock");
    }
}

#[test]
fn a_trace_that_is_being_read_is_not_dropped() {
    let store = Store::new(SMALL, usize::MAX);
    store.add_spans(vec![span(1, 1, false)]);
    let reading = store.trace(TraceId::new(1).unwrap());
    for trace in 2..1_000 {
        store.add_spans(vec![span(trace, 1, false)]);
        assert!(store.counts().bytes <= SMALL);
    }
    assert!(held(&store, 1));
    drop(reading);
    store.add_spans(vec![span(1_000, 1, false)]);
    assert!(!held(&store, 1));
}

#[test]
fn links_are_followed_back_until_their_trace_is_dropped() {
    let store = Store::new(SMALL, usize::MAX);
    let one = TraceId::new(1).unwrap();
    store.add_spans(vec![
        linked(span(2, 1, false), 1),
        linked(span(3, 1, false), 1),
    ]);
    store.add_spans(vec![
        linked(span(1, 1, false), 1),
        linked(span(2, 2, false), 1),
    ]);
    let ids = |limit| -> Vec<u128> {
        let linking = store.linking_to(one, limit).into_iter();
        linking
            .map(|trace| trace.id.to_string().parse().unwrap())
            .collect()
    };
    assert_eq!(ids(9), [3, 2]);
    assert_eq!(ids(1), [3]);
    for trace in 10..1_000 {
        store.add_spans(vec![span(trace, 1, false)]);
    }
    assert_eq!(ids(9), [0; 0]);
}

#[test]
fn changes_are_told_by_the_clock() {
    let store = Store::new(SMALL * 100, usize::MAX);
    let (start, everything) = store.changed_since(0);
    assert_eq!(everything, None);
    assert_eq!(store.changed_since(start), (start, Some(vec![])));
    store.add_spans(vec![span(1, 1, false), span(2, 1, true)]);
    let (clock, changed) = store.changed_since(start);
    let [one, two] = [1, 2].map(|id| TraceId::new(id).unwrap());
    assert_eq!(changed, Some(vec![one, two]));
    store.add_spans(vec![span(2, 2, false)]);
    assert_eq!(store.changed_since(clock).1, Some(vec![two]));
    store.add_spans((3..1_000).map(|trace| span(trace, 1, false)).collect());
    assert_eq!(store.changed_since(clock).1, None, "too many to name");
    assert_eq!(
        store.changed_since(u64::MAX).1,
        None,
        "another viewer's clock"
    );
}
