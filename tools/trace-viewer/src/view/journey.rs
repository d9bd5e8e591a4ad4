//! A trace together with the traces in which its messages were handled.
//!
//! A consumer may continue the trace of its message, or begin a trace of its own and link to the message; batch
//! consumers can only do the latter. Here such a consumer, and everything under it, is put under the message, as
//! if it had continued the trace. What becomes of an order is told from this tree.

use std::collections::{HashMap, HashSet};

use super::tree::Tree;
use crate::model::{Kind, SpanId, TraceId};
use crate::settings::Settings;
use crate::store::{Store, Trace};

/// How many traces are followed from one, and how many that link to a single one. More would make a page slow,
/// and such a trace is no story of one order any more.
const MAX_TRACES: usize = 50;
const MAX_LINKING: usize = 200;

/// How many spans of other traces are taken in: they are not counted in the memory of the answer.
const MAX_SPANS: usize = 10_000;

/// A place in one of several trees.
type Place = (usize, usize);

/// Lets a tree know of the messages that consumers of other traces link to.
pub(super) fn take_links_to(tree: &mut Tree, store: &Store, id: TraceId) {
    for other in store.linking_to(id, MAX_LINKING) {
        take_links(tree, &other);
    }
}

fn take_links(tree: &mut Tree, other: &Trace) {
    for span in &other.spans {
        tree.take_links(span);
    }
}

/// The tree of a trace, with the consumers of its messages from other traces in it.
pub(super) fn follow<'a>(store: &Store, trace: &Trace, settings: &'a Settings) -> Tree<'a> {
    let mut journey = Journey {
        trees: Vec::new(),
        messages: HashMap::new(),
        continued: HashMap::new(),
        seen: HashSet::from([trace.id]),
    };
    let tree = Tree::new(trace, settings);
    let mut waiting = vec![(trace.id, journey.add(tree, None))];
    while let Some((id, of)) = waiting.pop() {
        for other in store.linking_to(id, MAX_LINKING) {
            take_links(&mut journey.trees[of], &other);
            let is_new = journey.seen.insert(other.id);
            if !is_new || journey.is_full(other.spans.len()) {
                continue;
            }
            if let Some(at) = journey.join(Tree::new(&other, settings)) {
                waiting.push((other.id, at));
            }
        }
    }
    journey.into_tree()
}

struct Journey<'a> {
    /// The first is the tree of the trace itself.
    trees: Vec<Tree<'a>>,
    /// The messages that were sent, and where.
    messages: HashMap<(TraceId, SpanId), Place>,
    /// The consumers to be put under a message.
    continued: HashMap<Place, Vec<Place>>,
    seen: HashSet<TraceId>,
}

impl<'a> Journey<'a> {
    /// True when a trace of so many spans would be too much.
    fn is_full(&self, more: usize) -> bool {
        let others = self.trees.iter().skip(1).map(|tree| tree.nodes.len());
        self.trees.len() > MAX_TRACES || others.sum::<usize>() + more > MAX_SPANS
    }

    /// Adds a tree, and the messages of these places of it; `None` means all.
    fn add(&mut self, tree: Tree<'a>, places: Option<Vec<usize>>) -> usize {
        let at = self.trees.len();
        for place in places.unwrap_or_else(|| (0..tree.nodes.len()).collect()) {
            let span = &tree.nodes[place].span;
            if span.kind == Kind::Producer {
                let message = self.messages.entry((span.trace_id, span.id));
                message.or_insert((at, place));
            }
        }
        self.trees.push(tree);
        at
    }

    /// Adds a tree when one of its consumers links to a message that is known.
    fn join(&mut self, tree: Tree<'a>) -> Option<usize> {
        let at = self.trees.len();
        let mut joined = Vec::new();
        let mut place = 0;
        while place < tree.nodes.len() {
            let span = &tree.nodes[place].span;
            let links = span.links.iter().filter(|_| span.kind == Kind::Consumer);
            let mut ids = links.filter_map(|link| Some((link.trace_id?, link.span_id?)));
            let Some(message) = ids.find_map(|id| self.messages.get(&id)) else {
                place += 1;
                continue;
            };
            let under = self.continued.entry(*message).or_default();
            under.push((at, place));
            let subtree = tree.subtree(place);
            place = subtree.end;
            joined.extend(subtree);
        }
        (!joined.is_empty()).then(|| self.add(tree, Some(joined)))
    }

    fn into_tree(mut self) -> Tree<'a> {
        if self.trees.len() == 1 {
            return self.trees.swap_remove(0);
        }
        let mut whole = Tree::empty(self.trees[0].settings);
        for tree in &self.trees {
            whole.taken.extend(tree.taken.iter().copied());
        }
        let tops = self.trees[0].nodes.iter().enumerate();
        let tops = tops.filter(|(_, node)| node.parent.is_none());
        let tops = tops.map(|(place, _)| ((0, place), None)).rev();
        let mut waiting: Vec<(Place, Option<usize>)> = tops.collect();
        while let Some((at, parent)) = waiting.pop() {
            let node = &self.trees[at.0].nodes[at.1];
            let place = Some(whole.push(node, parent));
            let continued = self.continued.get(&at).into_iter().flatten().rev();
            waiting.extend(continued.map(|at| (*at, place)));
            let children = node.children.iter().rev();
            waiting.extend(children.map(|child| ((at.0, *child), place)));
        }
        whole
    }
}
