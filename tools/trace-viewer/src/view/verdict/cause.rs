//! Why a span failed: the innermost failure under it, in the words of the service that failed.

use super::super::tree::{Node, Tree};
use crate::model::{Kind, Span, Value, find};

/// The service that failed, and how.
pub(super) struct Cause<'a> {
    pub(super) service: &'a str,
    answered: Option<i64>,
    said: Option<&'a str>,
}

impl<'a> Cause<'a> {
    /// Follows the failed children down, always the last one. The lowest call that got an HTTP status names the
    /// service that failed; the lowest span of all says why.
    pub(super) fn of(tree: &'a Tree<'_>, failed: usize) -> Self {
        let mut at = failed;
        let mut call = None;
        loop {
            let node = &tree.nodes[at];
            if node.span.kind == Kind::Client && status(&node.span).is_some() {
                call = Some(node);
            }
            let failed = |child: &&usize| tree.nodes[**child].span.failed();
            match node.children.iter().rev().find(failed) {
                Some(child) => at = *child,
                None => break,
            }
        }
        let deepest = &tree.nodes[at];
        let said = said(&deepest.span);
        match call {
            Some(call) => Self {
                service: callee(tree, call),
                answered: status(&call.span),
                said,
            },
            None => Self {
                service: &deepest.span.resource.service,
                answered: own_status(deepest),
                said,
            },
        }
    }
}

impl Cause<'_> {
    /// `email answered 500 three times (mailbox full)`.
    pub(super) fn times(&self, times: usize) -> String {
        let times = match times {
            0 | 1 => String::new(),
            2 => " twice".to_owned(),
            many => format!(" {} times", in_words(many)),
        };
        match (self.answered, self.said) {
            (Some(code), Some(said)) => {
                format!("{} answered {code}{times} ({said})", self.service)
            }
            (Some(code), None) => format!("{} answered {code}{times}", self.service),
            (None, Some(said)) => format!("{} failed{times}: {said}", self.service),
            (None, None) => format!("{} failed{times}", self.service),
        }
    }
}

fn in_words(number: usize) -> String {
    const WORDS: [&str; 8] = [
        "three", "four", "five", "six", "seven", "eight", "nine", "ten",
    ];
    let word = number.checked_sub(3).and_then(|at| WORDS.get(at));
    word.map_or_else(|| number.to_string(), |word| (*word).to_owned())
}

fn status(span: &Span) -> Option<i64> {
    span.attribute("http.response.status_code")
        .and_then(Value::as_int)
}

fn own_status(node: &Node) -> Option<i64> {
    (node.span.kind == Kind::Server)
        .then(|| status(&node.span))
        .flatten()
}

/// The service that answered; its address when its span is not there.
fn callee<'a>(tree: &'a Tree<'_>, call: &'a Node) -> &'a str {
    let mut children = call.children.iter().map(|child| &tree.nodes[*child].span);
    let server = children.find(|child| child.kind == Kind::Server);
    match server {
        Some(server) => &server.resource.service,
        None => call
            .span
            .text("server.address")
            .unwrap_or(&call.span.resource.service),
    }
}

/// The status' message, the exception's, or the kind of error when it says more than a number.
fn said(span: &Span) -> Option<&str> {
    let message = Some(&*span.status.message).filter(|message| !message.is_empty());
    let exception =
        span.events.iter().rev().find_map(|event| {
            find(&event.attributes, "exception.message").and_then(Value::as_text)
        });
    let kind = span
        .text("error.type")
        .filter(|kind| kind.parse::<u16>().is_err());
    message.or(exception).or(kind)
}
