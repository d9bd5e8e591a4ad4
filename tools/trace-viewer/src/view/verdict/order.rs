//! What became of an order, as far as its trace tells.

use super::super::messages::is_unprocessed;
use super::super::tree::{Node, Tree};
use crate::model::{Kind, Value};

/// What became of an order.
pub(super) enum Outcome {
    /// Its status was changed and nothing was refused.
    Confirmed,
    /// Something was refused: who answered what.
    Cancelled(String),
    /// It was taken in, and no more is known.
    Accepted,
    /// The trace is no order's.
    NoOrder,
}

pub(super) fn outcome(tree: &Tree) -> Outcome {
    if !tree
        .nodes
        .iter()
        .any(|node| node.span.attribute("order.id").is_some())
    {
        return Outcome::NoOrder;
    }
    if let Some(refusal) = tree.nodes.iter().find_map(refusal) {
        return Outcome::Cancelled(refusal);
    }
    let sent = tree
        .nodes
        .iter()
        .any(|node| node.span.kind == Kind::Producer);
    if tree.nodes.iter().any(changed_status) {
        return Outcome::Confirmed;
    }
    // A consumer that did not fail has done what it should, even when the spans of it are missing.
    let handled = |node: &Node| node.span.kind == Kind::Consumer && !node.span.failed();
    let unsent = tree.nodes.iter().any(|node| is_unprocessed(tree, node));
    if sent && !unsent && tree.nodes.iter().any(handled) {
        return Outcome::Confirmed;
    }
    Outcome::Accepted
}

/// `inventory answered 409`, when stock was asked for in vain.
fn refusal(node: &Node) -> Option<String> {
    let span = &node.span;
    let status = span
        .attribute("http.response.status_code")
        .and_then(Value::as_int)?;
    let asked = span.name.ends_with("/reserve") && span.kind == Kind::Server;
    (asked && matches!(status, 404 | 409)).then(|| {
        let item = span
            .text("url.path")
            .and_then(|path| path.split('/').nth(2));
        let item = item.map(|item| format!(" for {item}")).unwrap_or_default();
        let reason = if status == 404 {
            "no such item"
        } else {
            "not enough stock"
        };
        format!(
            "{} answered {status}{item}: {reason}",
            span.resource.service
        )
    })
}

fn changed_status(node: &Node) -> bool {
    let span = &node.span;
    let status = span
        .attribute("http.response.status_code")
        .and_then(Value::as_int);
    span.kind == Kind::Server && &*span.name == "PATCH /orders/{id}/status" && status == Some(200)
}
