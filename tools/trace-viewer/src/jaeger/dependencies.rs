//! Which service calls which: counted from parents and children, links left out.

use std::collections::{BTreeMap, HashMap};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::Serialize;

use super::adjust::{self, Shown};
use super::answer::ApiError;
use super::query::Params;
use crate::store::{Store, Trace};

const DAY_MS: i64 = 24 * 60 * 60 * 1_000;

/// A trace counts when it lies wholly between these, in nanoseconds since 1970.
pub(super) struct Window {
    start: i128,
    end: i128,
}

impl Window {
    pub(super) fn parse(params: &Params) -> Result<Self, ApiError> {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default()
            .as_millis();
        let end = params
            .int("endTs")?
            .map_or(i128::try_from(now).unwrap_or(i128::MAX), i128::from);
        let lookback = i128::from(params.int("lookback")?.unwrap_or(DAY_MS));
        let nanos = |millis: i128| millis.saturating_mul(1_000_000);
        Ok(Self {
            start: nanos(end.saturating_sub(lookback)),
            end: nanos(end),
        })
    }

    fn holds(&self, trace: &Trace) -> bool {
        let window = self.start..=self.end;
        trace.spans.iter().all(|span| {
            window.contains(&i128::from(span.start))
                && window.contains(&i128::from(span.sane_end()))
        })
    }
}

/// How often one service called another.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Dependency {
    pub(super) parent: Box<str>,
    pub(super) child: Box<str>,
    call_count: usize,
}

pub(super) fn count(store: &Store, window: &Window) -> Vec<Dependency> {
    let mut calls: BTreeMap<(Box<str>, Box<str>), usize> = BTreeMap::new();
    let traces = store.newest(usize::MAX, |trace| {
        window.holds(trace).then(|| trace.clone())
    });
    for trace in traces {
        let spans = adjust::adjusted(&trace.spans);
        let service_of: HashMap<_, _> = spans
            .iter()
            .map(|shown| (shown.id, &shown.span.resource.service))
            .collect();
        let service = |shown: &Shown| shown.span.resource.service.clone();
        for shown in &spans {
            if let Some(parent) = shown.parent.and_then(|parent| service_of.get(&parent)) {
                *calls
                    .entry(((*parent).clone(), service(shown)))
                    .or_default() += 1;
            }
        }
    }
    let dependency = |((parent, child), call_count)| Dependency {
        parent,
        child,
        call_count,
    };
    calls.into_iter().map(dependency).collect()
}
