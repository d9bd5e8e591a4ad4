//! Searching by tags: whole values, compared as texts, on one span.

use crate::model::{Attribute, Span};

/// True when the span has that tag with that value: an attribute of the span, its scope, its resource or one of
/// its events, or one of the tags that Jaeger derives and people search for, `error` and `span.kind`.
pub(crate) fn matches(span: &Span, key: &str, value: &str) -> bool {
    let has = |attributes: &[Attribute]| {
        attributes
            .iter()
            .any(|tag| *tag.key == *key && tag.value.to_text() == value)
    };
    has(&span.attributes)
        || has(&span.scope.attributes)
        || has(&span.resource.attributes)
        || span.events.iter().any(|event| has(&event.attributes))
        || match key {
            "error" => value == if span.failed() { "true" } else { "false" },
            "span.kind" => !value.is_empty() && value == span.kind.name(),
            _ => false,
        }
}
