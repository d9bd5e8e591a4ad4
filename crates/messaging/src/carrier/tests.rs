use opentelemetry::{propagation::TextMapPropagator, trace::TraceContextExt};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use proptest::prelude::*;
use rdkafka::message::{Header, Headers, OwnedHeaders};

use super::*;

fn headers(pairs: &[(&str, Option<&[u8]>)]) -> OwnedHeaders {
    pairs
        .iter()
        .fold(OwnedHeaders::new(), |headers, (key, value)| {
            headers.insert(Header { key, value: *value })
        })
}

fn pairs(headers: &OwnedHeaders) -> Vec<(&str, Option<&[u8]>)> {
    headers
        .iter()
        .map(|header| (header.key, header.value))
        .collect()
}

fn get(headers: &impl Headers, key: &str) -> Option<String> {
    let headers = MessageHeaders::read(headers);
    HeaderExtractor::new(&headers).get(key).map(str::to_owned)
}

#[test]
fn get_reads_the_last_value_that_is_text() {
    type Case<'a> = (&'a [(&'a str, Option<&'a [u8]>)], Option<&'a str>);
    let cases: [Case<'_>; 9] = [
        (&[], None),
        (&[("other", Some(b"a"))], None),
        (&[("x-trace", Some(b"a"))], Some("a")),
        (
            &[("x-trace", Some(b"a")), ("x-trace", Some(b"b"))],
            Some("b"),
        ),
        (&[("x-trace", Some(b"a")), ("x", Some(b"b"))], Some("a")),
        (&[("X-Trace", Some(b"a"))], Some("a")),
        (&[("x-trace", None)], None),
        (&[("x-trace", Some(b"\xff"))], None),
        (
            &[
                ("x-trace", Some(b"a")),
                ("x-trace", None),
                ("x-trace", Some(b"\xff")),
            ],
            Some("a"),
        ),
    ];
    for (pairs, expected) in cases {
        let headers = headers(pairs);
        assert_eq!(get(&headers, "x-trace").as_deref(), expected, "{pairs:?}");
    }
}

#[test]
fn set_replaces_every_header_of_the_key_and_keeps_the_others() {
    let mut headers = headers(&[
        ("traceparent", Some(b"old")),
        ("content-type", Some(b"application/json")),
        ("TraceParent", Some(b"older")),
        ("nothing", None),
    ]);
    HeaderInjector(&mut headers).set("traceparent", "new".to_owned());
    assert_eq!(
        pairs(&headers),
        [
            ("content-type", Some(&b"application/json"[..])),
            ("nothing", None),
            ("traceparent", Some(b"new")),
        ]
    );
}

#[test]
fn keys_are_those_of_all_headers() {
    let headers = headers(&[("a", Some(b"1")), ("b", None), ("a", Some(b"2"))]);
    let headers = MessageHeaders::read(&headers);
    assert_eq!(HeaderExtractor::new(&headers).keys(), ["a", "b", "a"]);
}

proptest! {
    #[test]
    fn what_was_set_is_got_whatever_was_there(
        before in prop::collection::vec(
            ("[a-z]{1,3}", prop::option::of(prop::collection::vec(any::<u8>(), 0..40))), 0..8),
        key in "[a-z]{1,3}",
        value in "\\PC*",
    ) {
        let before: Vec<_> = before.iter().map(|(k, v)| (k.as_str(), v.as_deref())).collect();
        let mut headers = headers(&before);
        HeaderInjector(&mut headers).set(&key, value.clone());
        let expected = Some(value).filter(|value| !value.is_empty());
        prop_assert_eq!(headers.iter().filter(|header| header.key == key).count(), usize::from(expected.is_some()));
        prop_assert_eq!(get(&headers, &key), expected);
    }

    #[test]
    fn any_bytes_are_read_without_panic(
        values in prop::collection::vec(prop::option::of(prop::collection::vec(any::<u8>(), 0..80)), 0..4),
    ) {
        let pairs: Vec<_> = values.iter().map(|value| ("traceparent", value.as_deref())).collect();
        let headers = headers(&pairs);
        let headers = MessageHeaders::read(&headers);
        let extractor = HeaderExtractor::new(&headers);
        let read = TraceContextPropagator::new().extract_with_context(&Context::new(), &extractor);
        prop_assert_eq!(read.span().span_context().is_valid(), extractor.get("traceparent").is_some());
    }
}

/// Headers of which the first has a key that rdkafka can't turn into text.
struct KeyThatIsNotText;

impl Headers for KeyThatIsNotText {
    fn count(&self) -> usize {
        2
    }

    fn try_get(&self, index: usize) -> Option<Header<'_, &[u8]>> {
        assert_ne!(index, 0, "what rdkafka does");
        Some(Header {
            key: "x-trace",
            value: Some(b"a"),
        })
    }
}

#[test]
fn a_key_that_is_not_text_is_skipped() {
    let headers = MessageHeaders::read(&KeyThatIsNotText);
    let extractor = HeaderExtractor::new(&headers);
    assert_eq!(extractor.get("x-trace"), Some("a"));
    assert_eq!(extractor.keys(), ["x-trace"]);
}

#[test]
fn an_empty_value_is_not_written_and_removes_what_was_there() {
    let mut headers = headers(&[("Tracestate", Some(b"a=1")), ("x", None)]);
    HeaderInjector(&mut headers).set("tracestate", String::new());
    assert_eq!(pairs(&headers), [("x", None)]);
}
