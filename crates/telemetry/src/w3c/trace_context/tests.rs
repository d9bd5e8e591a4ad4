//! Each case sends headers through a span, as a service does that gets a request and makes another.

use http::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry::trace::{Span as _, Tracer, TracerProvider};
use opentelemetry_http::{HeaderExtractor, HeaderInjector};
use opentelemetry_sdk::trace::{Sampler, SamplingResult, SdkTracerProvider, ShouldSample};

use super::*;

const TRACE: &str = "12345678901234567890123456789012";
const PARENT: &str = "1234567890123456";
const VALID: &str = "00-12345678901234567890123456789012-1234567890123456-01";

fn headers(headers: &[(&str, &str)]) -> HeaderMap {
    let header = |(name, value): &(&str, &str)| {
        let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
        (name, HeaderValue::from_str(value).unwrap())
    };
    headers.iter().map(header).collect()
}

/// The headers of a request that is made in a span that continues what came in.
fn forward_sampled(incoming: &HeaderMap, sampler: impl ShouldSample + 'static) -> HeaderMap {
    let provider = SdkTracerProvider::builder().with_sampler(sampler).build();
    let parent =
        TraceContextPropagator.extract_with_context(&Context::new(), &HeaderExtractor(incoming));
    let span = provider
        .tracer("test")
        .start_with_context("request", &parent);
    let mut outgoing = HeaderMap::new();
    let context = parent.with_span(span);
    TraceContextPropagator.inject_context(&context, &mut HeaderInjector(&mut outgoing));
    outgoing
}

fn forward(incoming: &[(&str, &str)]) -> HeaderMap {
    forward_sampled(&headers(incoming), Sampler::AlwaysOn)
}

fn traceparent(headers: &HeaderMap) -> SpanContext {
    parse_traceparent(headers[TRACEPARENT].to_str().unwrap()).expect("a valid traceparent")
}

fn tracestate(headers: &HeaderMap) -> Option<&str> {
    let mut all = headers.get_all(TRACESTATE).iter();
    let first = all.next().map(|value| value.to_str().unwrap());
    assert_eq!(all.next(), None, "one header is enough");
    first
}

/// `tracestate` headers beside a valid `traceparent`; what is sent on.
fn forward_tracestate(values: &[&str]) -> Option<String> {
    let mut incoming = vec![(TRACEPARENT, VALID)];
    incoming.extend(values.iter().map(|value| (TRACESTATE, *value)));
    let outgoing = forward(&incoming);
    assert_eq!(
        traceparent(&outgoing).trace_id().to_string(),
        TRACE,
        "{values:?}"
    );
    tracestate(&outgoing).map(str::to_owned)
}

#[test]
fn a_valid_traceparent_is_continued() {
    let cases = [
        VALID,
        " 00-12345678901234567890123456789012-1234567890123456-01",
        "\t00-12345678901234567890123456789012-1234567890123456-01",
        "00-12345678901234567890123456789012-1234567890123456-01 ",
        "00-12345678901234567890123456789012-1234567890123456-01\t",
        "\t 00-12345678901234567890123456789012-1234567890123456-01 \t",
        // Later versions, which may have more fields.
        "01-12345678901234567890123456789012-1234567890123456-01",
        "fe-12345678901234567890123456789012-1234567890123456-01",
        "cc-12345678901234567890123456789012-1234567890123456-01",
        "cc-12345678901234567890123456789012-1234567890123456-01-",
        "cc-12345678901234567890123456789012-1234567890123456-01-what-the-future-will-be-like",
    ];
    for value in cases {
        let outgoing = forward(&[(TRACEPARENT, value), (TRACESTATE, "foo=1")]);
        let sent = outgoing[TRACEPARENT].to_str().unwrap();
        assert!(sent.starts_with("00-"), "{value:?}: {sent}");
        let sent = traceparent(&outgoing);
        assert_eq!(sent.trace_id().to_string(), TRACE, "{value:?}");
        assert_ne!(sent.span_id().to_string(), PARENT, "{value:?}");
        assert_eq!(tracestate(&outgoing), Some("foo=1"), "{value:?}");
    }
}

#[test]
fn a_malformed_traceparent_starts_a_new_trace() {
    let cases = [
        "",
        "-",
        // Version 00 has nothing after the flags.
        "00-12345678901234567890123456789012-1234567890123456-01.",
        "00-12345678901234567890123456789012-1234567890123456-01-",
        "00-12345678901234567890123456789012-1234567890123456-01-what-the-future-will-be-like",
        // Later versions have a dash there, and all fields of version 00.
        "cc-12345678901234567890123456789012-1234567890123456-01.what-the-future-will-be-like",
        "cc-12345678901234567890123456789012-1234567890123456",
        "cc-12345678901234567890123456789012-1234567890123456-0",
        // Two values in one header, as a proxy may combine them.
        "00-12345678901234567890123456789012-1234567890123456-01,00-12345678901234567890123456789012-1234567890123456-01",
        // The version.
        "ff-12345678901234567890123456789012-1234567890123456-01",
        ".0-12345678901234567890123456789012-1234567890123456-01",
        "0.-12345678901234567890123456789012-1234567890123456-01",
        "CC-12345678901234567890123456789012-1234567890123456-01",
        "000-12345678901234567890123456789012-1234567890123456-01",
        "0000-12345678901234567890123456789012-1234567890123456-01",
        "0-12345678901234567890123456789012-1234567890123456-01",
        // The trace id.
        "00-00000000000000000000000000000000-1234567890123456-01",
        "00-.2345678901234567890123456789012-1234567890123456-01",
        "00-1234567890123456789012345678901.-1234567890123456-01",
        "00-+2345678901234567890123456789012-1234567890123456-01",
        "00-A2345678901234567890123456789012-1234567890123456-01",
        "00-123456789012345678901234567890123-1234567890123456-01",
        "00-1234567890123456789012345678901-1234567890123456-01",
        "00-1234567890123456789012345678901-12345678901234567-01",
        // The parent id.
        "00-12345678901234567890123456789012-0000000000000000-01",
        "00-12345678901234567890123456789012-.234567890123456-01",
        "00-12345678901234567890123456789012-123456789012345.-01",
        "00-12345678901234567890123456789012-A234567890123456-01",
        "00-12345678901234567890123456789012-12345678901234567-01",
        "00-12345678901234567890123456789012-123456789012345-01",
        // The flags.
        "00-12345678901234567890123456789012-1234567890123456-.0",
        "00-12345678901234567890123456789012-1234567890123456-0.",
        "00-12345678901234567890123456789012-1234567890123456-+1",
        "00-12345678901234567890123456789012-1234567890123456-0A",
        "00-12345678901234567890123456789012-1234567890123456-001",
        "00-12345678901234567890123456789012-1234567890123456-1",
        "00-12345678901234567890123456789012-1234567890123456-",
        // Short everywhere.
        "0-1-1-1",
        "00-abc-def-01",
    ];
    for value in cases {
        let outgoing = forward(&[(TRACEPARENT, value), (TRACESTATE, "foo=1")]);
        let trace = traceparent(&outgoing).trace_id().to_string();
        assert!(!trace.contains("2345678901234567890123456789"), "{value}");
        assert_eq!(
            tracestate(&outgoing),
            None,
            "{value}: the state is the other trace's"
        );
        assert_eq!(parse_traceparent(value), None, "{value}");
    }
}

#[test]
fn text_that_is_not_ascii_is_no_traceparent() {
    for value in ["é", &format!("{}é", &VALID[..54]), &format!("{VALID}é")] {
        assert_eq!(parse_traceparent(value), None, "{value}");
    }
}

#[test]
fn a_second_traceparent_starts_a_new_trace() {
    let other = "00-12345678901234567890123456789011-1234567890123456-01";
    for second in [other, VALID, "", "malformed"] {
        let outgoing = forward(&[(TRACEPARENT, VALID), (TRACEPARENT, second)]);
        let trace = traceparent(&outgoing).trace_id().to_string();
        assert_ne!(trace, TRACE, "{second}");
        assert_ne!(trace, "12345678901234567890123456789011");
    }
}

#[test]
fn without_traceparent_a_trace_starts_and_tracestate_is_dropped() {
    let cases: [&[(&str, &str)]; 5] = [
        &[],
        &[(TRACESTATE, "foo=1")],
        &[(TRACESTATE, "foo=1,bar=2")],
        &[("trace-parent", VALID), (TRACESTATE, "foo=1")],
        &[("trace.parent", VALID), (TRACESTATE, "foo=1")],
    ];
    for incoming in cases {
        let outgoing = forward(incoming);
        assert_ne!(traceparent(&outgoing).trace_id().to_string(), TRACE);
        assert_eq!(tracestate(&outgoing), None, "{incoming:?}");
    }
}

#[test]
fn header_names_may_have_capital_letters() {
    for (parent, state) in [
        ("TraceParent", "TraceState"),
        ("TrAcEpArEnT", "TrAcEsTaTe"),
        ("TRACEPARENT", "TRACESTATE"),
    ] {
        let outgoing = forward(&[(parent, VALID), (state, "foo=1")]);
        assert_eq!(traceparent(&outgoing).trace_id().to_string(), TRACE);
        assert_eq!(tracestate(&outgoing), Some("foo=1"));
    }
}

#[test]
fn requests_of_one_trace_have_different_parents() {
    for incoming in [&[(TRACEPARENT, VALID)][..], &[]] {
        let sent = [(); 3].map(|()| traceparent(&forward(incoming)));
        let ids: std::collections::HashSet<_> = sent.iter().map(SpanContext::span_id).collect();
        assert_eq!(ids.len(), 3);
    }
}

#[test]
fn a_valid_tracestate_is_passed_on() {
    let key = format!("{}0123456789_-*/", ('a'..='z').collect::<String>());
    let value: String = (' '..='~').filter(|c| !",=".contains(*c)).collect();
    let many: Vec<_> = (1..=32).map(|n| format!("bar{n}={n}")).collect();
    let cases: Vec<(Vec<String>, String)> = vec![
        (vec!["foo=1,bar=2".into()], "foo=1,bar=2".into()),
        (
            vec![
                "foo=1,bar=2".into(),
                "rojo=1,congo=2".into(),
                "baz=3".into(),
            ],
            "foo=1,bar=2,rojo=1,congo=2,baz=3".into(),
        ),
        // Empty members and whitespace around members.
        (vec!["foo=1".into(), String::new()], "foo=1".into()),
        (vec![String::new(), "foo=1".into()], "foo=1".into()),
        (vec![" , foo=1,, ".into()], "foo=1".into()),
        (
            vec!["foo=1 \t , \t bar=2, \t baz=3".into()],
            "foo=1,bar=2,baz=3".into(),
        ),
        (
            vec!["foo=1\t \t,\t \tbar=2,\t \tbaz=3".into()],
            "foo=1,bar=2,baz=3".into(),
        ),
        (vec![" foo=1".into()], "foo=1".into()),
        (vec!["\tfoo=1".into()], "foo=1".into()),
        (vec!["foo=1 ".into()], "foo=1".into()),
        (vec!["foo=1\t".into()], "foo=1".into()),
        (vec!["\t foo=1 \t".into()], "foo=1".into()),
        // A space at the start of a value is a part of it.
        (vec!["foo= 1".into()], "foo= 1".into()),
        // A key that is there twice is not ours to judge.
        (vec!["foo=1,foo=1".into()], "foo=1,foo=1".into()),
        (vec!["foo=1,foo=2".into()], "foo=1,foo=2".into()),
        (vec!["foo=1".into(), "foo=2".into()], "foo=1,foo=2".into()),
        // All allowed characters.
        (vec![format!("{key}={value}")], format!("{key}={value}")),
        (
            vec![format!("{key}@a-z0-9_-*/={value}")],
            format!("{key}@a-z0-9_-*/={value}"),
        ),
        // Keys that Level 2 allows and Level 1 does not.
        (vec!["foo@=1,bar=2".into()], "foo@=1,bar=2".into()),
        (vec!["foo@@bar=1,bar=2".into()], "foo@@bar=1,bar=2".into()),
        (
            vec!["bar=2,foo@bar@baz=1".into()],
            "bar=2,foo@bar@baz=1".into(),
        ),
        (vec!["1a=1".into()], "1a=1".into()),
        // Limits.
        (vec![many.join(",")], many.join(",")),
        (
            many.chunks(10).map(|some| some.join(",")).collect(),
            many.join(","),
        ),
        (
            vec!["foo=1".into(), format!("{}=1", "z".repeat(256))],
            format!("foo=1,{}=1", "z".repeat(256)),
        ),
        (
            vec![format!("{}@{}=1", "t".repeat(241), "v".repeat(14))],
            format!("{}@{}=1", "t".repeat(241), "v".repeat(14)),
        ),
        (
            vec![format!("{}@v=1", "t".repeat(242))],
            format!("{}@v=1", "t".repeat(242)),
        ),
        (
            vec![format!("t@{}=1", "v".repeat(15))],
            format!("t@{}=1", "v".repeat(15)),
        ),
        (
            vec![format!("foo={}", "v".repeat(256))],
            format!("foo={}", "v".repeat(256)),
        ),
    ];
    for (values, expected) in cases {
        let values: Vec<_> = values.iter().map(String::as_str).collect();
        assert_eq!(forward_tracestate(&values), Some(expected), "{values:?}");
    }
}

#[test]
fn a_malformed_tracestate_is_dropped_and_the_trace_continued() {
    let too_many: Vec<_> = (1..=33).map(|n| format!("bar{n}={n}")).collect();
    let in_headers: Vec<_> = too_many.chunks(10).map(|some| some.join(",")).collect();
    let cases: Vec<Vec<String>> = vec![
        vec![],
        vec![String::new()],
        vec![" ,\t,".into()],
        vec!["foo".into()],
        vec!["=1".into()],
        // Keys.
        vec!["foo =1".into()],
        vec!["FOO=1".into()],
        vec!["foo.bar=1".into()],
        vec!["@foo=1,bar=2".into()],
        vec!["_foo=1".into()],
        vec!["foo=1".into(), format!("{}=1", "z".repeat(257))],
        // Values.
        vec!["foo=bar=baz".into()],
        vec!["foo=,bar=3".into()],
        vec!["foo=a\tb".into()],
        vec![format!("foo={}", "v".repeat(257))],
        // Members.
        vec![too_many.join(",")],
        in_headers,
    ];
    for values in cases {
        let values: Vec<_> = values.iter().map(String::as_str).collect();
        assert_eq!(forward_tracestate(&values), None, "{values:?}");
    }
    for name in ["trace-state", "trace.state"] {
        let outgoing = forward(&[(TRACEPARENT, VALID), (name, "foo=1")]);
        assert_eq!(tracestate(&outgoing), None);
    }
}

/// The sampled flag is the own decision. The random flag is the caller's, or that of the generator of
/// the trace id. All others are cleared.
#[test]
fn flags_are_passed_on_sampled_or_not() {
    let cases = [
        (Some("00"), "01", "00"),
        (Some("01"), "01", "00"),
        (Some("02"), "03", "02"),
        (Some("03"), "03", "02"),
        (Some("04"), "01", "00"),
        (Some("ff"), "03", "02"),
        (None, "03", "02"),
    ];
    for (incoming, sampled, unsampled) in cases {
        let value = incoming.map(|flags| format!("00-{TRACE}-{PARENT}-{flags}"));
        let incoming: Vec<_> = value
            .iter()
            .map(|value| (TRACEPARENT, value.as_str()))
            .collect();
        for (sampler, expected) in [
            (Sampler::AlwaysOn, sampled),
            (Sampler::AlwaysOff, unsampled),
        ] {
            let outgoing = forward_sampled(&headers(&incoming), sampler);
            let sent = outgoing[TRACEPARENT].to_str().unwrap();
            assert_eq!(&sent[53..], expected, "{value:?}");
        }
    }
}

/// Without a span of our own, what came in goes out.
#[test]
fn a_context_is_passed_through_unchanged() {
    let value = format!("00-{TRACE}-{PARENT}-02");
    let incoming = headers(&[(TRACEPARENT, &value), (TRACESTATE, "foo@@bar=1")]);
    let context =
        TraceContextPropagator.extract_with_context(&Context::new(), &HeaderExtractor(&incoming));
    let mut outgoing = HeaderMap::new();
    TraceContextPropagator.inject_context(&context, &mut HeaderInjector(&mut outgoing));
    assert_eq!(outgoing, incoming);
}

#[test]
fn a_context_without_a_span_writes_nothing() {
    let mut outgoing = HeaderMap::new();
    TraceContextPropagator.inject_context(&Context::new(), &mut HeaderInjector(&mut outgoing));
    assert!(outgoing.is_empty());
}

#[test]
fn a_span_context_that_was_stored_keeps_its_random_flag() {
    for flags in ["00", "01", "02", "03"] {
        let value = format!("00-{TRACE}-{PARENT}-{flags}");
        let context = Context::new().with_remote_span_context(parse_traceparent(&value).unwrap());
        let outgoing = outgoing_span_context(&context).unwrap();
        assert_eq!(format_traceparent(&outgoing), value);
    }
}

/// A span that is started under a context, but belongs to a trace of its own, takes nothing from it.
#[test]
fn a_new_trace_takes_nothing_from_the_context_around_it() {
    let value = format!("00-{TRACE}-{PARENT}-00");
    let incoming = headers(&[(TRACEPARENT, &value), (TRACESTATE, "foo=1")]);
    let around =
        TraceContextPropagator.extract_with_context(&Context::new(), &HeaderExtractor(&incoming));
    let provider = SdkTracerProvider::builder().build();
    let root = provider
        .tracer("test")
        .start_with_context("root", &Context::new());
    let expected = format!(
        "00-{}-{}-03",
        root.span_context().trace_id(),
        root.span_context().span_id()
    );
    let mut outgoing = HeaderMap::new();
    let context = around.with_span(root);
    TraceContextPropagator.inject_context(&context, &mut HeaderInjector(&mut outgoing));
    assert_eq!(outgoing, headers(&[(TRACEPARENT, &expected)]));
}

#[test]
fn a_state_that_a_sampler_changed_is_sent_as_changed() {
    #[derive(Clone, Debug)]
    struct AddState;

    impl ShouldSample for AddState {
        fn should_sample(
            &self,
            parent: Option<&Context>,
            trace_id: TraceId,
            name: &str,
            kind: &opentelemetry::trace::SpanKind,
            attributes: &[opentelemetry::KeyValue],
            links: &[opentelemetry::trace::Link],
        ) -> SamplingResult {
            let result =
                Sampler::AlwaysOn.should_sample(parent, trace_id, name, kind, attributes, links);
            let trace_state = result.trace_state.insert("ours", "1").unwrap();
            SamplingResult {
                trace_state,
                ..result
            }
        }
    }

    let incoming = headers(&[(TRACEPARENT, VALID), (TRACESTATE, "foo=1,bar=2")]);
    let outgoing = forward_sampled(&incoming, AddState);
    assert_eq!(tracestate(&outgoing), Some("ours=1,foo=1,bar=2"));
}

#[test]
fn the_fields_are_those_that_may_be_written() {
    let fields: Vec<_> = TraceContextPropagator.fields().collect();
    assert_eq!(fields, [TRACEPARENT, TRACESTATE]);
}
