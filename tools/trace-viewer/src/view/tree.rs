//! The spans of a trace as a tree, in the order in which they are read: each before its children.
//!
//! Whatever came makes a tree. A span whose parent is not there stands at the top and says so; a circle is
//! cut open at its earliest span; the second of two spans with one id has no children.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::model::{Kind, Span, SpanId, TraceId};
use crate::settings::Settings;
use crate::store::Trace;

/// All spans of a trace, parents first.
pub(super) struct Tree<'a> {
    pub(super) nodes: Vec<Node>,
    /// The messages that a consumer links to, wherever that consumer stands.
    pub(super) taken: HashSet<(TraceId, SpanId)>,
    /// How its attributes are to be read.
    pub(super) settings: &'a Settings,
}

/// One span and its place.
#[derive(Clone)]
pub(super) struct Node {
    pub(super) span: Arc<Span>,
    /// Its parent's place, earlier than its own.
    pub(super) parent: Option<usize>,
    /// The places of its children, all later than its own.
    pub(super) children: Vec<usize>,
    /// How deep it stands. One deeper when its parent is missing, which leaves room to say so.
    pub(super) depth: usize,
    /// The parent that it names and that is not there.
    pub(super) missing: Option<SpanId>,
}

impl<'a> Tree<'a> {
    pub(super) fn new(trace: &Trace, settings: &'a Settings) -> Self {
        let mut spans = trace.spans_once();
        spans.sort_by_key(|span| span.start);
        let mut place = HashMap::with_capacity(spans.len());
        for (at, span) in spans.iter().enumerate() {
            place.entry(span.id).or_insert(at);
        }
        let mut children: Vec<Vec<usize>> = vec![Vec::new(); spans.len()];
        let mut tops = Vec::new();
        for (at, span) in spans.iter().enumerate() {
            match span.parent.map(|parent| place.get(&parent)) {
                Some(Some(parent)) if *parent != at => children[*parent].push(at),
                _ => tops.push(at),
            }
        }
        order_tops(&mut tops, &spans, &place);
        let mut planting = Planting {
            planted: vec![false; spans.len()],
            nodes: Vec::with_capacity(spans.len()),
            spans,
            place,
            children,
        };
        planting.plant(tops);
        let mut tree = Self::empty(settings);
        for node in planting.nodes {
            tree.take_links(&node.span);
            tree.nodes.push(node);
        }
        tree
    }

    pub(super) fn empty(settings: &'a Settings) -> Self {
        Self {
            nodes: Vec::new(),
            taken: HashSet::new(),
            settings,
        }
    }

    pub(super) fn take_links(&mut self, span: &Span) {
        if span.kind == Kind::Consumer {
            let links = span.links.iter();
            let ids = links.filter_map(|link| Some((link.trace_id?, link.span_id?)));
            self.taken.extend(ids);
        }
    }

    /// Adds a span under a parent that is in the tree. The caller adds each parent before its children.
    pub(super) fn push(&mut self, node: &Node, parent: Option<usize>) -> usize {
        let at = self.nodes.len();
        let missing = node.missing.filter(|_| parent.is_none());
        let depth = match parent {
            Some(parent) => self.nodes[parent].depth + 1,
            None => usize::from(missing.is_some()),
        };
        if let Some(parent) = parent {
            self.nodes[parent].children.push(at);
        }
        self.nodes.push(Node {
            span: Arc::clone(&node.span),
            parent,
            children: Vec::new(),
            depth,
            missing,
        });
        at
    }

    /// The part of the tree that `keep` wants, by places. A span whose parent is left out goes to the next one
    /// above that is kept.
    pub(super) fn part(&self, keep: impl Fn(usize) -> bool) -> Self {
        let mut part = Self::empty(self.settings);
        part.taken.clone_from(&self.taken);
        let mut place = Vec::with_capacity(self.nodes.len());
        for (at, node) in self.nodes.iter().enumerate() {
            let parent = node.parent.and_then(|parent: usize| place[parent]);
            place.push(if keep(at) {
                Some(part.push(node, parent))
            } else {
                parent
            });
        }
        part
    }

    /// The earliest span that nothing caused; of an incomplete trace the earliest of all at the top.
    pub(super) fn root(&self) -> Option<&Node> {
        let mut tops = self.nodes.iter().filter(|node| node.parent.is_none());
        let complete = tops.clone().find(|node| node.missing.is_none());
        complete.or_else(|| tops.next())
    }

    /// First start and last end, in nanoseconds since 1970.
    pub(super) fn bounds(&self) -> (u64, u64) {
        let starts = self.nodes.iter().map(|node| node.span.start);
        let ends = self.nodes.iter();
        let ends = ends.map(|node| node.span.end.max(node.span.start));
        (
            starts.min().unwrap_or_default(),
            ends.max().unwrap_or_default(),
        )
    }

    /// The places of a span and everything under it.
    pub(super) fn subtree(&self, top: usize) -> std::ops::Range<usize> {
        let depth = self.nodes[top].depth;
        let under = self.nodes[top + 1..].iter();
        let under = under.take_while(|node| node.depth > depth && node.parent.is_some());
        top..top + 1 + under.count()
    }
}

/// By start; but those that miss the same parent stand together.
fn order_tops(tops: &mut [usize], spans: &[Arc<Span>], place: &HashMap<SpanId, usize>) {
    let missing = |at: &usize| {
        spans[*at]
            .parent
            .filter(|parent| !place.contains_key(parent))
    };
    let mut first_of: HashMap<SpanId, usize> = HashMap::new();
    for at in tops.iter() {
        if let Some(parent) = missing(at) {
            first_of.entry(parent).or_insert(*at);
        }
    }
    tops.sort_by_key(|at| (missing(at).map_or(*at, |parent| first_of[&parent]), *at));
}

struct Planting {
    spans: Vec<Arc<Span>>,
    place: HashMap<SpanId, usize>,
    children: Vec<Vec<usize>>,
    planted: Vec<bool>,
    nodes: Vec<Node>,
}

impl Planting {
    fn plant(&mut self, tops: Vec<usize>) {
        for top in tops {
            self.plant_under(top);
        }
        // Spans that cannot be reached from the top go in circles.
        for at in 0..self.spans.len() {
            self.plant_under(at);
        }
    }

    /// Not recursive: a trace can be deeper than a stack.
    fn plant_under(&mut self, top: usize) {
        let mut waiting = vec![(top, None)];
        while let Some((at, parent)) = waiting.pop() {
            if std::mem::replace(&mut self.planted[at], true) {
                continue;
            }
            let place = self.nodes.len();
            let node = self.node(at, parent);
            self.nodes.push(node);
            if let Some(parent) = parent {
                self.nodes[parent].children.push(place);
            }
            let children = std::mem::take(&mut self.children[at]).into_iter().rev();
            waiting.extend(children.map(|child| (child, Some(place))));
        }
    }

    fn node(&self, at: usize, parent: Option<usize>) -> Node {
        let span = &self.spans[at];
        let missing = span
            .parent
            .filter(|parent| !self.place.contains_key(parent));
        let depth = match parent {
            Some(parent) => self.nodes[parent].depth + 1,
            None => usize::from(missing.is_some()),
        };
        Node {
            span: Arc::clone(span),
            parent,
            children: Vec::new(),
            depth,
            missing,
        }
    }
}
