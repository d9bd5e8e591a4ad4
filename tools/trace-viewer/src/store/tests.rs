use std::sync::Arc;

use super::*;
use crate::model::{Kind, Resource, Scope, SpanId, Status, StatusCode};

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

fn held(store: &Store, trace: u128) -> bool {
    store.trace(TraceId::new(trace).unwrap()).is_some()
}

#[test]
fn a_flood_stays_within_the_bound() {
    let store = Store::new(SMALL);
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
    let store = Store::new(0);
    for trace in 1..100 {
        store.add_spans(vec![span(trace, 1, trace % 2 == 0)]);
    }
    let counts = store.counts();
    assert_eq!((counts.traces, counts.spans, counts.bytes), (0, 0, 0));
}

#[test]
fn the_longest_quiet_trace_goes_first() {
    let store = Store::new(SMALL);
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
    let store = Store::new(SMALL);
    store.add_spans(vec![span(1, 1, true)]);
    for trace in 2..10_000 {
        store.add_spans(vec![span(trace, 1, false)]);
    }
    assert!(held(&store, 1));
}

#[test]
fn failures_leave_half_of_the_room_to_what_happens_now() {
    let store = Store::new(SMALL);
    for trace in 1..10_000 {
        store.add_spans(vec![span(trace, 1, true)]);
    }
    for trace in 10_000..10_010 {
        store.add_spans(vec![span(trace, 1, false)]);
    }
    assert!((10_000..10_010).all(|trace| held(&store, trace)));
}

#[test]
fn one_trace_larger_than_the_room_is_not_held() {
    let store = Store::new(SMALL);
    for id in 1..10_000 {
        store.add_spans(vec![span(1, id, false)]);
        assert!(store.counts().bytes <= SMALL);
    }
}

#[test]
fn the_newest_comes_first_by_its_first_arrival() {
    let store = Store::new(SMALL);
    store.add_spans(vec![span(1, 1, false), span(2, 1, true), span(3, 1, false)]);
    store.add_spans(vec![span(1, 2, false)]);
    let order = store.newest(2, |trace| Some(trace.id.to_string()));
    assert_eq!(order, ["0000000000000003", "0000000000000002"]);
}
