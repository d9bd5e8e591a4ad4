use opentelemetry::propagation::TextMapPropagator;
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

#[test]
fn get_reads_the_last_value_that_is_text() {
    type Case<'a> = (&'a [(&'a str, Option<&'a [u8]>)], Option<&'a str>);
    let cases: [Case<'_>; 8] = [
        (&[], None),
        (&[("other", Some(b"a"))], None),
        (&[("traceparent", Some(b"a"))], Some("a")),
        (
            &[("traceparent", Some(b"a")), ("traceparent", Some(b"b"))],
            Some("b"),
        ),
        (&[("traceparent", Some(b"a")), ("x", Some(b"b"))], Some("a")),
        (&[("Traceparent", Some(b"a"))], None),
        (&[("traceparent", None)], None),
        (&[("traceparent", Some(b"\xff"))], None),
    ];
    for (pairs, expected) in cases {
        let headers = headers(pairs);
        assert_eq!(
            HeaderExtractor(&headers).get("traceparent"),
            expected,
            "{pairs:?}"
        );
    }
}

#[test]
fn set_replaces_every_header_of_the_key_and_keeps_the_others() {
    let mut headers = headers(&[
        ("traceparent", Some(b"old")),
        ("content-type", Some(b"application/json")),
        ("traceparent", Some(b"older")),
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
    assert_eq!(HeaderExtractor(&headers).keys(), ["a", "b", "a"]);
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
        let got = HeaderExtractor(&headers).get(&key).map(str::to_owned);
        prop_assert_eq!(got, Some(value));
        prop_assert_eq!(headers.iter().filter(|header| header.key == key).count(), 1);
    }

    #[test]
    fn any_bytes_are_read_without_panic(
        values in prop::collection::vec(prop::option::of(prop::collection::vec(any::<u8>(), 0..80)), 0..4),
    ) {
        let pairs: Vec<_> = values.iter().map(|value| ("traceparent", value.as_deref())).collect();
        let headers = headers(&pairs);
        let extractor = HeaderExtractor(&headers);
        let last = values.last().and_then(|value| std::str::from_utf8(value.as_deref()?).ok());
        prop_assert_eq!(extractor.get("traceparent"), last);
        TraceContextPropagator::new().extract_with_context(&Context::new(), &extractor);
    }
}

/// Headers of which the first has a key that rdkafka can't turn into text.
struct KeyThatIsNoText;

impl Headers for KeyThatIsNoText {
    fn count(&self) -> usize {
        2
    }

    fn try_get(&self, index: usize) -> Option<Header<'_, &[u8]>> {
        assert_ne!(index, 0, "what rdkafka does");
        Some(Header {
            key: "traceparent",
            value: Some(b"a"),
        })
    }
}

#[test]
fn a_key_that_is_no_text_is_passed_over() {
    let extractor = HeaderExtractor(&KeyThatIsNoText);
    assert_eq!(extractor.get("traceparent"), Some("a"));
    assert_eq!(extractor.keys(), ["traceparent"]);
}
