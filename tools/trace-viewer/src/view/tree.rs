//! The spans of a trace as a tree, in the order in which they are read: each before its children.
//!
//! Whatever came makes a tree. A span whose parent is not there stands at the top and says so; a circle is
//! cut open at its earliest span; the second of two spans with one id has no children.

use std::collections::HashMap;
use std::sync::Arc;

use crate::model::{Span, SpanId};
use crate::store::Trace;

/// All spans of a trace, parents first.
pub(super) struct Tree {
    pub(super) nodes: Vec<Node>,
}

/// One span and its place.
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

impl Tree {
    pub(super) fn new(trace: &Trace) -> Self {
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
        Planting {
            spans,
            place,
            children,
            new_place: HashMap::new(),
            nodes: Vec::new(),
        }
        .plant(tops)
    }

    /// The earliest span that nothing caused; of an incomplete trace the earliest of all at the top.
    pub(super) fn root(&self) -> Option<&Node> {
        let mut tops = self.nodes.iter().filter(|node| node.parent.is_none());
        let complete = tops.clone().find(|node| node.missing.is_none());
        complete.or_else(|| tops.next())
    }

    /// First start and last end, in nanoseconds since 1970.
    pub(super) fn bounds(&self) -> (u64, u64) {
        let start = self
            .nodes
            .iter()
            .map(|node| node.span.start)
            .min()
            .unwrap_or_default();
        let end = self
            .nodes
            .iter()
            .map(|node| node.span.end.max(node.span.start))
            .max();
        (start, end.unwrap_or_default())
    }

    /// A span and everything under it.
    pub(super) fn subtree(&self, top: usize) -> impl Iterator<Item = &Node> {
        let depth = self.nodes[top].depth;
        let under = self.nodes[top + 1..]
            .iter()
            .take_while(move |node| node.depth > depth);
        std::iter::once(&self.nodes[top]).chain(under)
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
    new_place: HashMap<usize, usize>,
    nodes: Vec<Node>,
}

impl Planting {
    fn plant(mut self, tops: Vec<usize>) -> Tree {
        for top in tops {
            self.plant_under(top);
        }
        // What can't be reached from the top goes in circles.
        for at in 0..self.spans.len() {
            if !self.new_place.contains_key(&at) {
                self.plant_under(at);
            }
        }
        Tree { nodes: self.nodes }
    }

    /// Not recursive: a trace can be deeper than a stack.
    fn plant_under(&mut self, top: usize) {
        let mut waiting = vec![(top, None)];
        while let Some((at, parent)) = waiting.pop() {
            if self.new_place.contains_key(&at) {
                continue;
            }
            let place = self.nodes.len();
            self.new_place.insert(at, place);
            let node = self.node(at, parent);
            self.nodes.push(node);
            if let Some(parent) = parent {
                self.nodes[parent].children.push(place);
            }
            waiting.extend(
                self.children[at]
                    .iter()
                    .rev()
                    .map(|child| (*child, Some(place))),
            );
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
