//! Which service calls which: counted from parents and children. Links do not count.

use std::collections::{BTreeMap, HashMap};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::Serialize;

use super::answer::ApiError;
use super::query::Params;
use crate::app::App;
use crate::store::Trace;

const DAY_MS: i64 = 24 * 60 * 60 * 1_000;

/// Nanoseconds since 1970. A trace counts when it lies wholly between these.
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
        let now = i64::try_from(now).unwrap_or(i64::MAX);
        let end = params.int("endTs")?.unwrap_or(now);
        let lookback = params.int("lookback")?.unwrap_or(DAY_MS);
        let nanos = |millis: i64| i128::from(millis) * 1_000_000;
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
    parent: Box<str>,
    child: Box<str>,
    call_count: usize,
}

pub(super) fn count(app: &App, window: &Window) -> Vec<Dependency> {
    let mut calls: BTreeMap<(Box<str>, Box<str>), usize> = BTreeMap::new();
    for trace in app.store.newest().filter(|trace| window.holds(trace)) {
        let _room = app.answers.room(trace.spans.len());
        let spans = trace.spans_once();
        let service = spans.iter().map(|span| (span.id, &span.resource.service));
        let service: HashMap<_, _> = service.collect();
        for span in &spans {
            if let Some(parent) = span.parent.and_then(|parent| service.get(&parent)) {
                let call = ((*parent).clone(), span.resource.service.clone());
                *calls.entry(call).or_default() += 1;
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
