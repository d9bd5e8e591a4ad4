//! The critical path: the spans that the end of the trace waited for, from its last moment back to its first.
//!
//! The walk goes backwards. A parent waited for the child that ended last; before that, for the child that had
//! ended when this one began, and so on. The remaining time is the parent's own. A consumer counts as a child
//! although it begins after its parent has ended, so the path leads through the queue.

use std::collections::HashMap;

use super::messages::queue_time;
use super::tree::Tree;

/// The parts of spans that the end waited for, and how long it waited for each service.
#[derive(Default)]
pub(super) struct CriticalPath {
    /// For each span, in the tree's order: from and to, in nanoseconds since 1970.
    pub(super) parts: Vec<Vec<(u64, u64)>>,
    /// Own time of each service on the path.
    pub(super) services: HashMap<Box<str>, u64>,
    /// Time in queues on the path.
    pub(super) queue: u64,
    /// Time on the path in which no span was open: pauses between attempts, an outbox.
    pub(super) idle: u64,
}

impl CriticalPath {
    pub(super) fn of(tree: &Tree) -> Self {
        let mut path = Self {
            parts: vec![Vec::new(); tree.nodes.len()],
            ..Self::default()
        };
        let ends = subtree_ends(tree);
        let Some(top) = (0..tree.nodes.len())
            .filter(|at| tree.nodes[*at].parent.is_none())
            .max_by_key(|at| ends[*at])
        else {
            return path;
        };
        let mut waiting = vec![top];
        while let Some(at) = waiting.pop() {
            path.walk(tree, &ends, at, &mut waiting);
        }
        path
    }

    fn walk(&mut self, tree: &Tree, ends: &[u64], at: usize, waiting: &mut Vec<usize>) {
        let node = &tree.nodes[at];
        let mut until = ends[at];
        let mut children = node.children.clone();
        children.sort_by_key(|child| std::cmp::Reverse(ends[*child]));
        for child in children {
            let start = tree.nodes[child].span.start;
            if ends[child] > until || start < node.span.start {
                continue;
            }
            self.own(tree, at, ends[child], until);
            waiting.push(child);
            let queue = queue_time(&tree.nodes[child].span, tree.settings).unwrap_or(0);
            self.queue += queue;
            // Brokers count in milliseconds, so a message may seem older than the span that sent it.
            until = start.saturating_sub(queue).max(node.span.start);
        }
        self.own(tree, at, node.span.start, until);
    }

    /// Splits a stretch into the time of the span and the time after its end, in which nothing is open.
    fn own(&mut self, tree: &Tree, at: usize, from: u64, until: u64) {
        let span = &tree.nodes[at].span;
        let end = until.min(span.end);
        if end > from {
            self.parts[at].push((from, end));
            *self
                .services
                .entry(span.resource.service.clone())
                .or_default() += end - from;
        }
        self.idle += until.saturating_sub(from.max(span.end));
    }
}

/// For each span the last end of it and everything under it.
fn subtree_ends(tree: &Tree) -> Vec<u64> {
    let mut ends: Vec<u64> = tree
        .nodes
        .iter()
        .map(|node| node.span.end.max(node.span.start))
        .collect();
    for at in (0..ends.len()).rev() {
        if let Some(parent) = tree.nodes[at].parent {
            ends[parent] = ends[parent].max(ends[at]);
        }
    }
    ends
}
