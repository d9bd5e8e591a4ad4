//! Whatever a message's headers, key and payload are: nothing panics, and the rules for the context hold.

use messaging::{Instrumentation, MessageHeaders, carrier};
use opentelemetry::{
    Context,
    trace::{SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState},
};
use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracerProvider, SpanData};
use proptest::{collection::vec, option, prelude::*, sample::select, string::string_regex};
use rdkafka::message::{Header, Headers, OwnedHeaders, OwnedMessage, Timestamp};

use crate::common::{attribute, set_propagators};

/// A header. A name never contains a zero byte: librdkafka's names end there.
type Pair = (String, Option<Vec<u8>>);

/// What is put into a message, and what has to come out.
#[derive(Debug, Clone)]
enum Content {
    /// A `traceparent` that counts.
    Valid(SpanContext),
    /// Anything else. It is never a valid `traceparent`.
    Other(Option<Vec<u8>>),
}

impl Content {
    fn value(&self) -> Option<Vec<u8>> {
        match self {
            Self::Valid(context) => Some(traceparent(context).into_bytes()),
            Self::Other(value) => value.clone(),
        }
    }
}

fn traceparent(context: &SpanContext) -> String {
    let (trace, span, flags) = (
        context.trace_id(),
        context.span_id(),
        context.trace_flags().to_u8(),
    );
    format!("00-{trace}-{span}-{flags:02x}")
}

fn span_contexts() -> impl Strategy<Value = SpanContext> {
    let ids = (1..=u128::MAX, 1..=u64::MAX, any::<bool>());
    ids.prop_map(|(trace, span, sampled)| {
        let flags = TraceFlags::default().with_sampled(sampled);
        let (trace, span) = (TraceId::from(trace), SpanId::from(span));
        SpanContext::new(trace, span, flags, true, TraceState::default())
    })
}

/// A valid `traceparent` with one mistake.
fn broken() -> impl Strategy<Value = Vec<u8>> {
    let mistakes: [fn(&str) -> String; 6] = [
        |valid| valid.to_uppercase().replacen("00-", "0A-", 1),
        |valid| valid.replacen("00-", "ff-", 1),
        |valid| format!("{valid}-more"),
        |valid| valid[..valid.len() - 1].to_owned(),
        |valid| format!(" {valid}"),
        |valid| format!("00-{}{}", "0".repeat(32), &valid[35..]),
    ];
    (span_contexts(), select(mistakes.to_vec()))
        .prop_map(|(context, mistake)| mistake(&traceparent(&context)).into_bytes())
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 0..60)
}

fn contents() -> impl Strategy<Value = Content> {
    let valid = span_contexts().prop_map(Content::Valid);
    let other = prop_oneof![option::of(bytes()), broken().prop_map(Some)];
    prop_oneof![valid, other.prop_map(Content::Other)]
}

/// Names of every kind: empty, those that the propagators know in any case, and any other.
fn names() -> impl Strategy<Value = String> {
    let known = ["traceparent", "Traceparent", "TRACEPARENT", "baggage", ""];
    let any_name = string_regex("[^\0]{0,8}").expect("a pattern");
    prop_oneof![select(known.to_vec()).prop_map(str::to_owned), any_name]
}

fn headers_of(pairs: &[Pair]) -> OwnedHeaders {
    let append = |headers: OwnedHeaders, (key, value): &Pair| {
        let value = value.as_ref();
        headers.insert(Header { key, value })
    };
    pairs.iter().fold(OwnedHeaders::new(), append)
}

fn pairs_of(headers: &OwnedHeaders) -> Vec<Pair> {
    let pair =
        |header: Header<'_, &[u8]>| (header.key.to_owned(), header.value.map(<[u8]>::to_vec));
    headers.iter().map(pair).collect()
}

fn is(name: &str, pair: &Pair) -> bool {
    pair.0.eq_ignore_ascii_case(name)
}

/// A message whose key, payload and place are anything, with these headers.
fn messages(headers: OwnedHeaders) -> impl Strategy<Value = OwnedMessage> {
    let place = (any::<i32>(), any::<i64>(), option::of(any::<i64>()));
    (option::of(bytes()), option::of(bytes()), place).prop_map(
        move |(key, payload, (partition, offset, time))| {
            let time = time.map_or(Timestamp::NotAvailable, Timestamp::CreateTime);
            let headers = Some(headers.clone());
            OwnedMessage::new(
                payload,
                key,
                "any".to_owned(),
                time,
                partition,
                offset,
                headers,
            )
        },
    )
}

/// Headers, and the context that a reader has to find in them: the last valid one.
fn headers_and_context() -> impl Strategy<Value = (OwnedHeaders, Option<SpanContext>)> {
    vec((names(), contents()), 0..8).prop_map(|named| {
        let mut newest_first = named.iter().rev();
        let last = newest_first.find_map(|(name, content)| match content {
            Content::Valid(context) if name.eq_ignore_ascii_case("traceparent") => Some(context),
            _ => None,
        });
        let pairs: Vec<_> = named
            .iter()
            .map(|(name, content)| (name.clone(), content.value()))
            .collect();
        (headers_of(&pairs), last.cloned())
    })
}

fn ids(context: &SpanContext) -> (TraceId, SpanId, TraceFlags) {
    (context.trace_id(), context.span_id(), context.trace_flags())
}

/// An instrumentation, and what its spans become.
fn instrumentation() -> (Instrumentation, InMemorySpanExporter) {
    let spans = InMemorySpanExporter::default();
    let provider = SdkTracerProvider::builder()
        .with_simple_exporter(spans.clone())
        .build();
    let kafka = Instrumentation::default().with_tracer_provider(&provider);
    (kafka, spans)
}

fn only_span(spans: &InMemorySpanExporter) -> SpanData {
    let mut spans = spans.get_finished_spans().unwrap();
    assert!(spans.len() <= 1, "one span at most");
    spans.pop().unwrap()
}

proptest! {
    #[test]
    fn extract_finds_the_last_valid_context_and_no_other(
        (message, expected) in headers_and_context()
            .prop_flat_map(|(headers, context)| (messages(headers), Just(context)))
    ) {
        set_propagators();
        let found = carrier::extract(&message);
        let span = found.span();
        let found = Some(span.span_context()).filter(|context| context.is_valid());
        prop_assert_eq!(found.map(ids), expected.as_ref().map(ids));
    }

    #[test]
    fn inject_replaces_what_the_propagators_write_and_nothing_else(
        (mut headers, _) in headers_and_context(), context in span_contexts()
    ) {
        set_propagators();
        let before = pairs_of(&headers);
        carrier::inject(&Context::new().with_remote_span_context(context.clone()), &mut headers);
        let mut after = pairs_of(&headers);

        let mut expected = before;
        let fields = ["traceparent", "tracestate", "baggage"];
        expected.retain(|pair| !fields.iter().any(|field| is(field, pair)));
        expected.push(("traceparent".to_owned(), Some(traceparent(&context).into_bytes())));
        // Where among the others the propagator's header stands does not matter.
        let place = after.iter().position(|pair| is("traceparent", pair));
        let written = after.remove(place.unwrap());
        after.push(written);
        prop_assert_eq!(after, expected);
    }

    #[test]
    fn a_process_span_continues_the_last_valid_context(
        (message, expected) in headers_and_context()
            .prop_flat_map(|(headers, context)| (messages(headers), Just(context)))
    ) {
        set_propagators();
        let (kafka, spans) = instrumentation();
        drop(kafka.process_span(&message));
        let Some(sender) = expected else {
            let span = only_span(&spans);
            prop_assert_eq!(span.parent_span_id, SpanId::INVALID);
            prop_assert!(span.links.links.is_empty());
            return Ok(());
        };
        if !sender.is_sampled() {
            // A span below a sender that is not sampled is not recorded.
            prop_assert!(spans.get_finished_spans().unwrap().is_empty());
            return Ok(());
        }
        let span = only_span(&spans);
        prop_assert_eq!(span.parent_span_id, sender.span_id());
        prop_assert_eq!(span.span_context.trace_id(), sender.trace_id());
        let links: Vec<_> = span.links.links.iter().map(|link| ids(&link.span_context)).collect();
        prop_assert_eq!(links, [ids(&sender)]);
    }

    #[test]
    fn a_span_has_the_key_that_is_text_and_marks_a_tombstone(
        message in messages(OwnedHeaders::new())
    ) {
        let (key, payload) = (rdkafka::Message::key(&message), rdkafka::Message::payload(&message));
        let (kafka, sent) = instrumentation();
        let mut headers = OwnedHeaders::new();
        kafka.send_span("any", key, payload, &mut headers).acknowledged(0, 0);
        let (kafka, processed) = instrumentation();
        drop(kafka.process_span(&message));
        for span in [only_span(&sent), only_span(&processed)] {
            let recorded = attribute(&span, "messaging.kafka.message.key").map(|key| key.as_str());
            let text = key.and_then(|key| std::str::from_utf8(key).ok());
            prop_assert_eq!(recorded.as_deref(), text);
            let tombstone = attribute(&span, "messaging.kafka.message.tombstone");
            prop_assert_eq!(tombstone.is_some(), payload.is_none());
        }
    }

    #[test]
    fn last_is_the_value_of_the_last_header_of_exactly_this_name(
        mut pairs in vec((names(), option::of(bytes())), 0..8),
        mut after in vec((names(), option::of(bytes())), 0..8),
        name in names(),
        value in option::of(bytes()),
    ) {
        after.retain(|(other, _)| *other != name);
        pairs.push((name.clone(), value.clone()));
        pairs.extend(after);
        let headers = headers_of(&pairs);
        prop_assert_eq!(MessageHeaders::read(&headers).last(&name), value.as_deref());
    }

    #[test]
    fn headers_that_cannot_be_read_are_skipped(
        pairs in vec(option::of((names(), option::of(bytes()))), 0..8)
    ) {
        let headers = SomeUnreadable(pairs.clone());
        let read = MessageHeaders::read(&headers);
        let read: Vec<Pair> = read
            .iter()
            .map(|header| (header.key.to_owned(), header.value.map(<[u8]>::to_vec)))
            .collect();
        let readable: Vec<Pair> = pairs.into_iter().flatten().collect();
        prop_assert_eq!(read, readable);
    }
}

/// Headers, where `None` is one whose name rdkafka cannot turn into text: it panics.
struct SomeUnreadable(Vec<Option<Pair>>);

impl Headers for SomeUnreadable {
    fn count(&self) -> usize {
        self.0.len()
    }

    fn try_get(&self, index: usize) -> Option<Header<'_, &[u8]>> {
        let pair = self.0.get(index)?;
        let (key, value) = pair.as_ref().expect("a name that is text");
        let value = value.as_deref();
        Some(Header { key, value })
    }
}
