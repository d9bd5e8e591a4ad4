//! Searching by tags: whole values, compared as texts, on one span.
//!
//! Looked for among the attributes of the span, its scope, its process and its events, and then among the
//! few names that Jaeger derives. Other derived tags (`otel.status_code`) are shown but can't be searched
//! for, in Jaeger as here.

use std::collections::BTreeMap;

use serde_json::error::Category;
use serde_json::{Map, Value as Json};

use super::answer::ApiError;
use crate::model::{Attribute, Span, StatusCode};

/// `tag=key:value` as often as one likes, and `tags={"key":"value"}`.
pub(super) fn parse<'a>(
    pairs: impl Iterator<Item = &'a str>,
    objects: impl Iterator<Item = &'a str>,
) -> Result<BTreeMap<String, String>, ApiError> {
    let mut tags = BTreeMap::new();
    for pair in pairs {
        let (key, value) = pair.split_once(':').ok_or_else(|| {
            let message = "malformed 'tag' parameter, expecting key:value, received:";
            ApiError::bad_request(format!("{message} {pair}"))
        })?;
        tags.insert(key.to_owned(), value.to_owned());
    }
    for object in objects {
        tags.extend(parse_object(object).map_err(|why| {
            let message = "malformed 'tags' parameter, cannot unmarshal JSON:";
            ApiError::bad_request(format!("{message} {why}"))
        })?);
    }
    Ok(tags)
}

fn parse_object(text: &str) -> Result<BTreeMap<String, String>, String> {
    let object: Map<String, Json> =
        serde_json::from_str(text).map_err(|error| match error.classify() {
            Category::Eof => "unexpected end of JSON input".to_owned(),
            _ => error.to_string(),
        })?;
    let text_of = |(key, value)| match value {
        Json::String(text) => Ok((key, text)),
        Json::Null => Ok((key, String::new())),
        other => {
            let kind = go_type(&other);
            Err(format!(
                "json: cannot unmarshal {kind} into Go value of type string"
            ))
        }
    };
    object.into_iter().map(text_of).collect()
}

fn go_type(json: &Json) -> &'static str {
    match json {
        Json::Null => "null",
        Json::Bool(_) => "bool",
        Json::Number(_) => "number",
        Json::String(_) => "string",
        Json::Array(_) => "array",
        Json::Object(_) => "object",
    }
}

/// True when the span has that tag with that value.
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
        || derived(span, key, value)
}

fn derived(span: &Span, key: &str, value: &str) -> bool {
    match key {
        "error" => value == if span.failed() { "true" } else { "false" },
        "span.kind" => !value.is_empty() && value == span.kind.name(),
        "span.status" => value.eq_ignore_ascii_case(status_name(span)),
        "scope.name" => value == &*span.scope.name,
        "scope.version" => value == &*span.scope.version,
        "resource.service.name" => value == &*span.resource.service,
        _ => key.strip_prefix("resource.").is_some_and(|key| {
            let mut attributes = span.resource.attributes.iter();
            attributes.any(|tag| *tag.key == *key && tag.value.to_text() == value)
        }),
    }
}

fn status_name(span: &Span) -> &'static str {
    match span.status.code {
        StatusCode::Unset => "unset",
        StatusCode::Ok => "ok",
        StatusCode::Error => "error",
    }
}
