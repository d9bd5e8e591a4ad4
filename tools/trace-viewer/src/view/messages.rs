//! What a trace says of its messages: how long each waited, which attempt it was, what was given up on.
//!
//! Read from kinds, names of destinations and two attributes of our own; any sender that follows
//! OpenTelemetry's conventions for messaging is understood, the attributes only make it exact.

use super::tree::{Node, Tree};
use crate::model::{Kind, Span, Value};

const QUEUE_TIME: &str = "orderflow.messaging.queue_time";
const RETRY_COUNT: &str = "orderflow.messaging.retry_count";
const OUTBOX_WAIT: &str = "orderflow.outbox.wait_time";
const DESTINATION: &str = "messaging.destination.name";
const DEAD_LETTERS: &str = ".dlq";

/// Nanoseconds that the message waited in the queue before this span, when it says so.
pub(super) fn queue_time(span: &Span) -> Option<u64> {
    (span.kind == Kind::Consumer)
        .then(|| seconds(span.attribute(QUEUE_TIME)?))
        .flatten()
}

/// Nanoseconds that the message waited in the outbox before this span, when it says so.
pub(super) fn outbox_time(span: &Span) -> Option<u64> {
    (span.kind == Kind::Producer)
        .then(|| seconds(span.attribute(OUTBOX_WAIT)?))
        .flatten()
}

/// 1 for the first attempt, and so on; `None` when it is not said and no consumer.
pub(super) fn attempt(span: &Span) -> Option<i64> {
    let retries = span.attribute(RETRY_COUNT).and_then(Value::as_int);
    (span.kind == Kind::Consumer).then(|| retries.unwrap_or(0).saturating_add(1))
}

/// Where the message goes to or comes from.
pub(super) fn destination(span: &Span) -> &str {
    span.text(DESTINATION).unwrap_or("the queue")
}

/// True for the sending of a message that was given up on.
pub(super) fn is_dead_letter(span: &Span) -> bool {
    span.kind == Kind::Producer && destination(span).ends_with(DEAD_LETTERS)
}

/// True for the sending of a message that had been given up on: its parent is the dead letter.
pub(super) fn is_replay(tree: &Tree, node: &Node) -> bool {
    let parent = node.parent.map(|parent| &tree.nodes[parent].span);
    node.span.kind == Kind::Producer && parent.is_some_and(|parent| is_dead_letter(parent))
}

/// True for a message that went out and that nobody was seen to handle.
pub(super) fn is_unprocessed(tree: &Tree, node: &Node) -> bool {
    let mut children = node.children.iter().map(|child| &tree.nodes[*child].span);
    node.span.kind == Kind::Producer
        && !node.span.failed()
        && !is_dead_letter(&node.span)
        && !children.any(|child| child.kind == Kind::Consumer)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "what is not finite or negative becomes zero"
)]
fn seconds(value: &Value) -> Option<u64> {
    value.as_f64().map(|seconds| (seconds * 1e9).round() as u64)
}
