//! What a trace tells about its messages: how long each waited, which attempt it was, which were given up.
//!
//! Read from kinds of spans, names of destinations and the attributes named in the settings. Any sender that
//! follows OpenTelemetry's conventions for messaging is understood; these attributes only make it exact.

use super::tree::{Node, Tree};
use crate::model::{Kind, Span, Value};
use crate::settings::Settings;

const DESTINATION: &str = "messaging.destination.name";

/// Nanoseconds that the message waited in the queue before this span, when it says so.
pub(super) fn queue_time(span: &Span, settings: &Settings) -> Option<u64> {
    let attribute = settings.messages.queue_time.as_deref();
    let attribute = attribute.filter(|_| span.kind == Kind::Consumer)?;
    seconds(span.attribute(attribute)?)
}

/// Nanoseconds that the message waited in the outbox before this span, when it says so.
pub(super) fn outbox_time(span: &Span, settings: &Settings) -> Option<u64> {
    let attribute = settings.messages.outbox_wait.as_deref();
    let attribute = attribute.filter(|_| span.kind == Kind::Producer)?;
    seconds(span.attribute(attribute)?)
}

/// 1 for the first attempt of a consumer, and so on; `None` for other spans.
pub(super) fn attempt(span: &Span, settings: &Settings) -> Option<i64> {
    let attribute = settings.messages.retry_count.as_deref();
    let retries = attribute.and_then(|attribute| span.attribute(attribute)?.as_int());
    (span.kind == Kind::Consumer).then(|| retries.unwrap_or(0).saturating_add(1))
}

/// Where the message goes to or comes from.
pub(super) fn destination(span: &Span) -> &str {
    span.text(DESTINATION).unwrap_or("the queue")
}

/// True for the sending of a message that was given up.
pub(super) fn is_dead_letter(span: &Span, settings: &Settings) -> bool {
    let ends_with = |name: &str, suffix: &str| {
        let start = name.len().checked_sub(suffix.len());
        let end = start.and_then(|start| name.get(start..));
        end.is_some_and(|end| end.eq_ignore_ascii_case(suffix))
    };
    let mut suffixes = settings.dead_letters.iter();
    span.kind == Kind::Producer && suffixes.any(|suffix| ends_with(destination(span), suffix))
}

/// True for the sending of a message that had been given up: its parent is the dead letter.
pub(super) fn is_replay(tree: &Tree, node: &Node) -> bool {
    let parent = node.parent.map(|parent| &tree.nodes[parent].span);
    node.span.kind == Kind::Producer
        && parent.is_some_and(|parent| is_dead_letter(parent, tree.settings))
}

/// True for a message that went out and that no consumer was seen to handle: none under it, and none that links
/// to it.
pub(super) fn is_unprocessed(tree: &Tree, node: &Node) -> bool {
    let span = &node.span;
    let mut children = node.children.iter().map(|child| &tree.nodes[*child].span);
    span.kind == Kind::Producer
        && !span.failed()
        && !is_dead_letter(span, tree.settings)
        && !tree.taken.contains(&(span.trace_id, span.id))
        && !children.any(|child| child.kind == Kind::Consumer)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "numbers that are negative or not finite become zero"
)]
fn seconds(value: &Value) -> Option<u64> {
    value.as_f64().map(|seconds| (seconds * 1e9).round() as u64)
}
