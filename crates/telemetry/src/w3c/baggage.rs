//! W3C Baggage: the header `baggage`.

#[cfg(test)]
mod tests;

use std::sync::LazyLock;

use opentelemetry::{
    Context,
    baggage::{Baggage, BaggageExt},
    propagation::{Extractor, Injector, TextMapPropagator, text_map_propagator::FieldIter},
};
use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};

use super::OWS;

const BAGGAGE: &str = "baggage";
static FIELDS: LazyLock<[String; 1]> = LazyLock::new(|| [BAGGAGE.to_owned()]);

/// W3C lets everybody drop members beyond this many, or beyond this length of all of them.
const MAX_MEMBERS: usize = 64;
const MAX_BYTES: usize = 8192;

/// The ASCII characters that a value must not contain. `=` is not one of them.
const ENCODED: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'%')
    .add(b',')
    .add(b';')
    .add(b'\\');

/// Reads and writes `baggage` as W3C Baggage says.
///
/// It replaces the SDK's propagator of the same name, which cuts a value off at its second `=`, reads
/// only the first of several headers, and logs the whole header if one member is malformed. Baggage
/// may contain names, tokens and other people's secrets, so this propagator never logs any of it:
/// malformed members and properties are dropped, the others stay.
///
/// Properties (`key=value;property`) are kept as they are, as the entry's metadata.
#[derive(Clone, Copy, Debug, Default)]
pub struct BaggagePropagator;

impl TextMapPropagator for BaggagePropagator {
    fn inject_context(&self, cx: &Context, injector: &mut dyn Injector) {
        let header = format(cx.baggage());
        if !header.is_empty() {
            injector.set(BAGGAGE, header);
        }
    }

    /// Returns `cx` as it is if there is no valid member.
    fn extract_with_context(&self, cx: &Context, extractor: &dyn Extractor) -> Context {
        let baggage = parse(&extractor.get_all(BAGGAGE).unwrap_or_default());
        if baggage.is_empty() {
            cx.clone()
        } else {
            cx.with_baggage(baggage)
        }
    }

    fn fields(&self) -> FieldIter<'_> {
        FieldIter::new(FIELDS.as_slice())
    }
}

/// The members of all headers, within the limits. If a key comes twice, the last value counts.
fn parse(headers: &[&str]) -> Baggage {
    let members = headers
        .iter()
        .flat_map(|header| header.split(','))
        .map(|member| member.trim_matches(OWS))
        .filter(|member| !member.is_empty());
    let mut baggage = Baggage::new();
    let mut length = 0;
    for member in members.take(MAX_MEMBERS) {
        // With the comma before it, which the first one does not have.
        length += member.len() + 1;
        if length > MAX_BYTES + 1 {
            break;
        }
        if let Some((key, value, properties)) = parse_member(member) {
            baggage.insert_with_metadata(key, value, properties);
        }
    }
    baggage
}

/// Key, decoded value, and properties.
fn parse_member(member: &str) -> Option<(String, String, String)> {
    let mut parts = member.split(';');
    let (key, value) = parse_pair(parts.next()?)?;
    let value = percent_decode_str(value?).decode_utf8_lossy();
    Some((key.to_owned(), value.into_owned(), valid_properties(parts)))
}

fn valid_properties<'a>(properties: impl Iterator<Item = &'a str>) -> String {
    let valid = properties
        .map(|property| property.trim_matches(OWS))
        .filter(|property| parse_pair(property).is_some());
    valid.collect::<Vec<_>>().join(";")
}

/// `key=value`, or for a property also `key` alone.
fn parse_pair(text: &str) -> Option<(&str, Option<&str>)> {
    let (key, value) = match text.split_once('=') {
        Some((key, value)) => (key, Some(value.trim_matches(OWS))),
        None => (text, None),
    };
    let key = key.trim_matches(OWS);
    (is_token(key) && value.is_none_or(is_value)).then_some((key, value))
}

/// A token of RFC 9110.
fn is_token(key: &str) -> bool {
    let is_token_char =
        |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !key.is_empty() && key.bytes().all(is_token_char)
}

/// Printable ASCII without space, `"`, `,`, `;` and `\`.
fn is_value(value: &str) -> bool {
    value
        .bytes()
        .all(|byte| byte.is_ascii_graphic() && !b"\",;\\".contains(&byte))
}

/// The header, members in the order of their keys. A member that does not fit is dropped; there are never
/// more than 64, because `Baggage` takes no more.
fn format(baggage: &Baggage) -> String {
    let mut members: Vec<_> = baggage
        .iter()
        .map(|(key, (value, metadata))| {
            format_member(key.as_str(), value.as_str(), metadata.as_str())
        })
        .collect();
    members.sort_unstable();
    let mut header = String::new();
    for member in members {
        let comma = if header.is_empty() { "" } else { "," };
        if header.len() + comma.len() + member.len() <= MAX_BYTES {
            header.push_str(comma);
            header.push_str(&member);
        }
    }
    header
}

fn format_member(key: &str, value: &str, metadata: &str) -> String {
    let value = utf8_percent_encode(value, ENCODED);
    let properties = valid_properties(metadata.split(';'));
    if properties.is_empty() {
        format!("{key}={value}")
    } else {
        format!("{key}={value};{properties}")
    }
}
