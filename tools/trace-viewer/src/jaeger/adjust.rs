//! What Jaeger sets right, or only remarks upon, before it answers with a trace.
//!
//! Equal spans are shown once. A server span that shares its client's id (Zipkin's habit) becomes a child of
//! it with an id of its own. A child that does not fit into its parent is remarked upon and left where it is:
//! moving it is off by default in Jaeger, and wrong for a consumer, which runs after its producer.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::go;
use crate::model::{Kind, Span, SpanId};

/// A span as it is answered.
pub(crate) struct Shown {
    pub(crate) span: Arc<Span>,
    pub(crate) id: SpanId,
    pub(crate) parent: Option<SpanId>,
    pub(crate) warnings: Vec<String>,
}

/// The spans as they came.
pub(super) fn as_they_came(spans: &[Arc<Span>]) -> Vec<Shown> {
    spans.iter().map(shown).collect()
}

/// The spans, set right.
pub(crate) fn adjusted(spans: &[Arc<Span>]) -> Vec<Shown> {
    let mut seen = HashSet::with_capacity(spans.len());
    let once = spans.iter().filter(|span| seen.insert(Arc::clone(span)));
    let mut shown: Vec<Shown> = once.map(shown).collect();
    part_servers_from_clients(&mut shown);
    remark_on_times(&mut shown);
    remark_on_links(&mut shown);
    shown
}

fn shown(span: &Arc<Span>) -> Shown {
    let mut warnings = Vec::new();
    if span.end <= span.start {
        warnings.push(format!(
            "Negative duration detected, sanitizing end timestamp. Original end timestamp: {}, adjusted to: {}",
            go::time(span.end),
            go::time(span.sane_end()),
        ));
    }
    Shown {
        span: Arc::clone(span),
        id: span.id,
        parent: span.parent,
        warnings,
    }
}

fn part_servers_from_clients(spans: &mut [Shown]) {
    let is = |kind| move |shown: &&Shown| shown.span.kind == kind;
    let clients: HashSet<_> = spans
        .iter()
        .filter(is(Kind::Client))
        .map(|shown| shown.id)
        .collect();
    let mut used: HashSet<_> = spans.iter().map(|shown| shown.id).collect();
    let mut unused = (1..).filter_map(SpanId::new);
    let mut renamed = HashMap::new();
    for shown in spans.iter_mut() {
        if shown.span.kind == Kind::Server && clients.contains(&shown.id) {
            let Some(id) = unused.find(|id| used.insert(*id)) else {
                return;
            };
            renamed.insert(shown.id, id);
            shown.parent = Some(shown.id);
            shown.id = id;
        }
    }
    for shown in spans {
        if let Some(server) = shown.parent.and_then(|parent| renamed.get(&parent))
            && *server != shown.id
        {
            shown.parent = Some(*server);
        }
    }
}

fn remark_on_times(spans: &mut [Shown]) {
    let mut by_id: HashMap<SpanId, Arc<Span>> = HashMap::with_capacity(spans.len());
    let mut duplicate = Vec::new();
    for (at, shown) in spans.iter().enumerate() {
        if by_id.insert(shown.id, Arc::clone(&shown.span)).is_some() {
            duplicate.push(at);
        }
    }
    for at in &duplicate {
        let warning = "duplicate span IDs; skipping clock skew adjustment";
        spans[*at].warnings.push(warning.to_owned());
    }
    let duplicate: HashSet<usize> = duplicate.into_iter().collect();
    for (at, shown) in spans.iter_mut().enumerate() {
        if !duplicate.contains(&at)
            && let Some(parent) = shown.parent
        {
            shown
                .warnings
                .extend(time_remark(&shown.span, parent, by_id.get(&parent)));
        }
    }
}

fn time_remark(span: &Span, parent_id: SpanId, parent: Option<&Arc<Span>>) -> Option<String> {
    let Some(parent) = parent else {
        return Some(format!(
            "invalid parent span IDs={parent_id}; skipping clock skew adjustment"
        ));
    };
    let skew = skew(span, parent);
    (skew != 0).then(|| {
        let skew = go::duration(skew);
        format!("clock skew adjustment disabled; not applying calculated delta of {skew}")
    })
}

/// By how much Jaeger would move the child. A child that lasts longer than its parent is asynchronous, so its
/// start alone counts; any other is thought to lie in the middle of its parent, the way there being as long
/// as the way back.
fn skew(child: &Span, parent: &Span) -> i128 {
    let [child_start, child_end] = [child.start, child.sane_end()].map(i128::from);
    let [parent_start, parent_end] = [parent.start, parent.sane_end()].map(i128::from);
    let room = (parent_end - parent_start) - (child_end - child_start);
    if room < 0 {
        return (parent_start - child_start).max(0);
    }
    if child_start >= parent_start && child_end <= parent_end {
        return 0;
    }
    parent_start + room / 2 - child_start
}

fn remark_on_links(spans: &mut [Shown]) {
    for shown in spans {
        for link in shown
            .span
            .links
            .iter()
            .filter(|link| link.trace_id.is_none())
        {
            let id = link
                .span_id
                .map_or_else(|| "0".repeat(16), |id| id.to_string());
            shown.warnings.push(format!(
                "Invalid span reference removed {{TraceID:0000000000000000 SpanID:{id} RefType:FOLLOWS_FROM \
                 XXX_NoUnkeyedLiteral:{{}} XXX_unrecognized:[] XXX_sizecache:0}}"
            ));
        }
    }
}
