use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex},
};

use http::{HeaderMap, HeaderValue};
use opentelemetry::KeyValue;
use opentelemetry_http::HeaderExtractor;
use proptest::prelude::*;
use tracing::{Level, Subscriber};
use tracing_subscriber::{Layer, layer::SubscriberExt};

use super::*;

fn extract(values: &[&str]) -> Context {
    let values = values
        .iter()
        .map(|value| HeaderValue::from_bytes(value.as_bytes()).unwrap());
    let headers: HeaderMap = values
        .map(|value| (http::HeaderName::from_static(BAGGAGE), value))
        .collect();
    BaggagePropagator.extract_with_context(&Context::new(), &HeaderExtractor(&headers))
}

/// The entries as `value` or `value;properties`.
fn entries(context: &Context) -> BTreeMap<String, String> {
    let entry = |(key, (value, metadata)): (&opentelemetry::Key, &(_, _))| {
        let value: &opentelemetry::StringValue = value;
        let metadata: &opentelemetry::baggage::BaggageMetadata = metadata;
        let properties = match metadata.as_str() {
            "" => String::new(),
            some => format!(";{some}"),
        };
        (key.to_string(), format!("{value}{properties}"))
    };
    context.baggage().iter().map(entry).collect()
}

fn inject(context: &Context) -> Option<String> {
    let mut headers = HashMap::new();
    BaggagePropagator.inject_context(context, &mut headers);
    headers.remove(BAGGAGE)
}

#[test]
fn valid_members_are_read_and_written() {
    /// The headers, the entries, and the header that is sent on.
    type Case<'a> = (&'a [&'a str], &'a [(&'a str, &'a str)], &'a str);
    let cases: [Case<'_>; 12] = [
        (&["a=1,b=2"], &[("a", "1"), ("b", "2")], "a=1,b=2"),
        (&["a=1", "b=2"], &[("a", "1"), ("b", "2")], "a=1,b=2"),
        (&[" a = 1 ,\tb=2\t"], &[("a", "1"), ("b", "2")], "a=1,b=2"),
        (&["a=", ",,a=,"], &[("a", "")], "a="),
        // `=` is a part of the value.
        (&["token=YWJj=="], &[("token", "YWJj==")], "token=YWJj=="),
        (&["a==b=c"], &[("a", "=b=c")], "a==b=c"),
        // Percent-encoding.
        (
            &["a=%20x%2C%3B%22%5C%25%3D"],
            &[("a", " x,;\"\\%=")],
            "a=%20x%2C%3B%22%5C%25=",
        ),
        (&["a=caf%C3%A9"], &[("a", "café")], "a=caf%C3%A9"),
        (&["a=%FF"], &[("a", "\u{fffd}")], "a=%EF%BF%BD"),
        (&["a=100%"], &[("a", "100%")], "a=100%25"),
        // The last one counts.
        (&["a=1,a=2"], &[("a", "2")], "a=2"),
        // Properties.
        (
            &["a=1 ; p ;q = x=y; r=%2C,b=2"],
            &[("a", "1;p;q = x=y;r=%2C"), ("b", "2")],
            "a=1;p;q = x=y;r=%2C,b=2",
        ),
    ];
    for (headers, expected, sent) in cases {
        let context = extract(headers);
        let expected = expected
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        assert_eq!(entries(&context), expected.collect(), "{headers:?}");
        assert_eq!(inject(&context).as_deref(), Some(sent), "{headers:?}");
    }
}

const MALFORMED: [&str; 10] = [
    "broken",
    "=1",
    "a b=1",
    "a\"=1",
    "a@b=1",
    "a=one two",
    "a=\"1\"",
    "a=1\\2",
    "a=\u{e9}",
    ";p=1",
];

#[test]
fn a_malformed_member_is_dropped_and_the_others_stay() {
    for member in MALFORMED {
        assert_eq!(inject(&extract(&[member])), None, "{member}");
        let header = format!("x=1,{member},y=2");
        let context = BaggagePropagator.extract_with_context(
            &Context::new(),
            &HashMap::from([(BAGGAGE.to_owned(), header)]),
        );
        assert_eq!(inject(&context).as_deref(), Some("x=1,y=2"), "{member}");
    }
    for property in ["", "p q", "p=one two", "=1", "p=\u{e9}"] {
        let header = format!("a=1;{property};ok");
        let context = BaggagePropagator.extract_with_context(
            &Context::new(),
            &HashMap::from([(BAGGAGE.to_owned(), header)]),
        );
        assert_eq!(inject(&context).as_deref(), Some("a=1;ok"), "{property}");
    }
}

#[test]
fn nothing_is_logged() {
    #[derive(Clone, Default)]
    struct Events(Arc<Mutex<Vec<String>>>);

    impl<S: Subscriber> Layer<S> for Events {
        fn on_event(
            &self,
            event: &tracing::Event<'_>,
            _: tracing_subscriber::layer::Context<'_, S>,
        ) {
            let event = format!("{event:?}");
            self.0.lock().unwrap().push(event);
        }
    }

    let events = Events::default();
    let subscriber = tracing_subscriber::registry().with(events.clone());
    tracing::subscriber::with_default(subscriber, || {
        tracing::event!(Level::TRACE, "the only one");
        for member in MALFORMED {
            extract(&[member, "a=%FF;p q"]);
        }
        let long = format!("a={}", "x".repeat(10_000));
        extract(&[&long]);
        inject(&Context::new().with_baggage(vec![KeyValue::new("a", long)]));
    });
    let events = events.0.lock().unwrap();
    assert_eq!(events.len(), 1, "{events:?}");
}

#[test]
fn sixty_four_members_and_8192_bytes_are_kept() {
    let members: Vec<_> = (10..76).map(|n| format!("k{n}=v")).collect();
    let kept = members[..64].join(",");
    assert_eq!(inject(&extract(&[&kept])), Some(kept.clone()));
    assert_eq!(inject(&extract(&[&members.join(",")])), Some(kept));

    let full = format!("a={},b={}", "x".repeat(4000), "y".repeat(4187));
    assert_eq!(full.len(), 8192);
    assert_eq!(inject(&extract(&[&full])), Some(full.clone()));
    let too_long = format!("{full}y");
    let first = format!("a={}", "x".repeat(4000));
    assert_eq!(inject(&extract(&[&too_long])), Some(first.clone()));
    // Also if the members come in two headers, and if others follow.
    let second = format!("b={}", "y".repeat(4188));
    assert_eq!(inject(&extract(&[&first, &second, "c=1"])), Some(first));
}

/// Percent-encoding may make three bytes of one: what fitted into memory may be too long for a header.
#[test]
fn a_member_that_does_not_fit_any_more_is_not_sent() {
    let entries = vec![
        KeyValue::new("a", "1"),
        KeyValue::new("long", ",".repeat(3000)),
        KeyValue::new("z", "2"),
    ];
    let context = Context::new().with_baggage(entries);
    assert_eq!(inject(&context).as_deref(), Some("a=1,z=2"));
}

#[test]
fn metadata_that_is_no_property_is_not_sent() {
    let entry = opentelemetry::baggage::KeyValueMetadata::new("a", "1", "p,evil=1\r\nx: y;ok=1");
    let context = Context::new().with_baggage(vec![entry]);
    assert_eq!(inject(&context).as_deref(), Some("a=1;ok=1"));
}

#[test]
fn a_header_without_baggage_leaves_the_context_alone() {
    let entry = vec![KeyValue::new("a", "1")];
    let context = Context::new().with_baggage(entry);
    for headers in [
        HashMap::new(),
        HashMap::from([(BAGGAGE.to_owned(), "broken".to_owned())]),
    ] {
        let extracted = BaggagePropagator.extract_with_context(&context, &headers);
        assert_eq!(inject(&extracted).as_deref(), Some("a=1"));
    }
    assert_eq!(inject(&Context::new()), None, "an empty header is not sent");
}

proptest! {
    #[test]
    fn any_value_arrives_as_it_was_sent(value in any::<String>().prop_filter("within the limit", |value| value.len() < 2000)) {
        let context = Context::new().with_baggage(vec![KeyValue::new("a", value.clone())]);
        let header = inject(&context).expect("one member");
        let received = extract(&[&header]);
        prop_assert_eq!(received.baggage().get("a").map(ToString::to_string), Some(value));
    }

    #[test]
    fn no_header_is_too_strange(header in "\\PC*|[a-c=;, %\"0-9]*") {
        let headers = HashMap::from([(BAGGAGE.to_owned(), header)]);
        let context = BaggagePropagator.extract_with_context(&Context::new(), &headers);
        let sent = inject(&context).unwrap_or_default();
        prop_assert!(sent.len() <= MAX_BYTES);
        prop_assert_eq!(entries(&extract(&[&sent])), entries(&context));
    }
}
