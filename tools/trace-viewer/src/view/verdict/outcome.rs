//! What became of an entity, by the rules in the settings.

use super::super::messages::is_unprocessed;
use super::super::tree::{Node, Tree};
use super::Tone;
use crate::model::{Kind, Span, Value};
use crate::settings::Rule;

/// What became of an entity, as far as its spans tell.
pub(super) enum Outcome<'a> {
    /// It is certain.
    Certain {
        word: &'a str,
        tone: Tone,
        /// Often empty.
        because: String,
    },
    /// It exists, and no more is known.
    Begun(&'a str),
    /// The trace is not about an entity.
    None,
}

impl<'a> Outcome<'a> {
    /// The outcome of the entity whose spans these are.
    pub(super) fn of(tree: &Tree<'a>) -> Self {
        let words = &tree.settings.outcomes;
        for rule in &words.rules {
            let mut spans = tree.nodes.iter().map(|node| &*node.span);
            if let Some(span) = spans.find(|span| decides(rule, span)) {
                return Self::Certain {
                    word: &rule.outcome,
                    tone: rule.tone,
                    because: because(rule, span),
                };
            }
        }
        // A consumer that did not fail has done what it should, even when the spans of it are missing.
        let handled = |node: &Node| node.span.kind == Kind::Consumer && !node.span.failed();
        let sent = |node: &Node| node.span.kind == Kind::Producer;
        let unsent = tree.nodes.iter().any(|node| is_unprocessed(tree, node));
        if !unsent && tree.nodes.iter().any(sent) && tree.nodes.iter().any(handled) {
            return Self::Certain {
                word: &words.done,
                tone: Tone::Good,
                because: String::new(),
            };
        }
        Self::Begun(&words.begun)
    }
}

fn decides(rule: &Rule, span: &Span) -> bool {
    let status = span.attribute("http.response.status_code");
    span.kind == Kind::Server
        && *span.name == *rule.span
        && status.and_then(Value::as_int) == Some(rule.status)
}

fn because(rule: &Rule, span: &Span) -> String {
    let because = rule.because.replace("{service}", &span.resource.service);
    let mut because = because.replace("{status}", &rule.status.to_string());
    let route = rule.span.split('/').skip(1);
    let path = span.text("url.path").unwrap_or_default().split('/').skip(1);
    for (parameter, value) in route.zip(path).filter(|(part, _)| part.starts_with('{')) {
        because = because.replace(parameter, value);
    }
    because
}
