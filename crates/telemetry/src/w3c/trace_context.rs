//! W3C Trace Context, Level 2: the headers `traceparent` and `tracestate`.

#[cfg(test)]
mod tests;

use std::sync::LazyLock;

use opentelemetry::{
    Context,
    propagation::{Extractor, Injector, TextMapPropagator, text_map_propagator::FieldIter},
    trace::{SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState},
};

use super::OWS;

const TRACEPARENT: &str = "traceparent";
const TRACESTATE: &str = "tracestate";
static FIELDS: LazyLock<[String; 2]> =
    LazyLock::new(|| [TRACEPARENT, TRACESTATE].map(str::to_owned));

/// Length of a `traceparent` of version 00. Later versions may append fields.
const TRACEPARENT_LENGTH: usize = 55;
/// The trace flag which says that the last 7 bytes of the trace id are random.
const RANDOM: TraceFlags = TraceFlags::new(0x02);
/// Sampled and random. The other bits are reserved and sent as zero.
const KNOWN_FLAGS: TraceFlags = TraceFlags::new(0x03);
/// A `tracestate` has at most this many members, in all its headers together.
const MAX_MEMBERS: usize = 32;
/// Maximum length of a `tracestate` key, and of a value.
const MAX_MEMBER_TEXT: usize = 256;

/// Reads and writes `traceparent` and `tracestate` as W3C Trace Context Level 2 says.
///
/// It replaces the SDK's propagator of the same name, from which it differs in this:
///
/// | | here | SDK 0.33 |
/// |---|---|---|
/// | `traceparent` with short ids, signs, or characters after the flags | starts a new trace | continues the trace `0000…0abc`, like every other caller with that fault |
/// | two `traceparent` headers | start a new trace | the first counts |
/// | several `tracestate` headers | are combined | the first counts |
/// | a malformed `tracestate` member | drops the whole `tracestate` | mostly passes |
/// | no `tracestate` | none is sent | an empty one is sent, which some proxies refuse |
/// | the random flag | is passed on, and set on traces that begin here | is cleared |
///
/// The context that `extract` returns carries the random flag and the `tracestate` as a value of its
/// own, because the SDK clears the flags of an unsampled span, and its `TraceState` accepts only the
/// keys of Level 1. Children inherit that value with the context. If a parent is set from a bare
/// `SpanContext` instead, its local children count as a trace that began here.
#[derive(Clone, Copy, Debug, Default)]
pub struct TraceContextPropagator;

impl TextMapPropagator for TraceContextPropagator {
    fn inject_context(&self, cx: &Context, injector: &mut dyn Injector) {
        let Some(span) = outgoing_span_context(cx) else {
            return;
        };
        injector.set(TRACEPARENT, format_traceparent(&span));
        let tracestate = match Incoming::of(cx) {
            Some(incoming) if incoming.trace_state == *span.trace_state() => {
                incoming.tracestate.clone()
            }
            // A trace that began here, or a sampler that changed the state.
            _ => span.trace_state().header(),
        };
        if !tracestate.is_empty() {
            injector.set(TRACESTATE, tracestate);
        }
    }

    /// Returns `cx` as it is if there is no `traceparent`, more than one, or a malformed one.
    fn extract_with_context(&self, cx: &Context, extractor: &dyn Extractor) -> Context {
        match Incoming::extract(extractor) {
            Some((span, incoming)) => cx.with_value(incoming).with_remote_span_context(span),
            None => cx.clone(),
        }
    }

    fn fields(&self) -> FieldIter<'_> {
        FieldIter::new(FIELDS.as_slice())
    }
}

/// Parses one `traceparent` value. The result has no `tracestate`; it is `None` if the value is malformed.
///
/// A version above 00 may have further fields after the flags, which are ignored.
#[must_use]
pub fn parse_traceparent(value: &str) -> Option<SpanContext> {
    let (known, rest) = value
        .trim_matches(OWS)
        .split_at_checked(TRACEPARENT_LENGTH)?;
    let mut fields = known.split('-');
    let version = hex(fields.next()?, 2)?;
    let trace_id = TraceId::from(hex(fields.next()?, 32)?);
    let span_id = SpanId::from(u64::try_from(hex(fields.next()?, 16)?).ok()?);
    let flags = TraceFlags::new(u8::try_from(hex(fields.next()?, 2)?).ok()?);
    let is_complete = match version {
        0x00 => rest.is_empty(),
        0xff => false,
        _ => rest.is_empty() || rest.starts_with('-'),
    };
    let span = SpanContext::new(
        trace_id,
        span_id,
        flags & KNOWN_FLAGS,
        true,
        TraceState::NONE,
    );
    Some(span).filter(|span| is_complete && span.is_valid())
}

/// The value of exactly so many digits. Capital letters are not allowed.
fn hex(text: &str, digits: usize) -> Option<u128> {
    let is_hex = |byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    if text.len() == digits && text.bytes().all(is_hex) {
        u128::from_str_radix(text, 16).ok()
    } else {
        None
    }
}

/// The span as a `traceparent` names it.
pub(crate) fn format_traceparent(span: &SpanContext) -> String {
    let (trace, id, flags) = (span.trace_id(), span.span_id(), span.trace_flags());
    format!("00-{trace}-{id}-{:02x}", flags & KNOWN_FLAGS)
}

/// The span of `cx` with the flags that other processes are to see: the SDK knows nothing of the random
/// flag. `None` if `cx` has no span.
pub(crate) fn outgoing_span_context(cx: &Context) -> Option<SpanContext> {
    let span = cx.span();
    let span = span.span_context();
    if !span.is_valid() {
        return None;
    }
    let is_random = match Incoming::of(cx) {
        Some(incoming) => incoming.is_random,
        None if span.is_remote() => span.trace_flags() & RANDOM == RANDOM,
        // The trace began here, and all bytes of the SDK's trace ids are random.
        None => true,
    };
    let sampled = span.trace_flags() & TraceFlags::SAMPLED;
    Some(SpanContext::new(
        span.trace_id(),
        span.span_id(),
        if is_random { sampled | RANDOM } else { sampled },
        span.is_remote(),
        span.trace_state().clone(),
    ))
}

/// What came with a trace and would get lost in the SDK. A value of the context.
#[derive(Debug)]
struct Incoming {
    /// Tells whether the context's span still belongs to the trace that this value came with.
    trace_id: TraceId,
    is_random: bool,
    /// The members of `tracestate` that `TraceState` accepts.
    trace_state: TraceState,
    /// All members. Empty if there were none, or a malformed one among them.
    tracestate: String,
}

impl Incoming {
    fn of(cx: &Context) -> Option<&Self> {
        let trace_id = cx.span().span_context().trace_id();
        cx.get::<Self>()
            .filter(|incoming| incoming.trace_id == trace_id)
    }

    fn extract(extractor: &dyn Extractor) -> Option<(SpanContext, Self)> {
        let traceparents = extractor.get_all(TRACEPARENT)?;
        let [traceparent] = traceparents.as_slice() else {
            return None;
        };
        let parent = parse_traceparent(traceparent)?;
        let tracestates = extractor.get_all(TRACESTATE).unwrap_or_default();
        let members = parse_tracestate(&tracestates).unwrap_or_default();
        let incoming = Self {
            trace_id: parent.trace_id(),
            is_random: parent.trace_flags() & RANDOM == RANDOM,
            trace_state: accepted_by_sdk(&members),
            tracestate: members.join(","),
        };
        let span = SpanContext::new(
            parent.trace_id(),
            parent.span_id(),
            parent.trace_flags(),
            true,
            incoming.trace_state.clone(),
        );
        Some((span, incoming))
    }
}

/// The members of all `tracestate` headers in order, without the empty ones. `None` if one is malformed
/// or there are more than 32.
fn parse_tracestate<'a>(headers: &[&'a str]) -> Option<Vec<&'a str>> {
    let members = headers
        .iter()
        .flat_map(|header| header.split(','))
        .map(|member| member.trim_matches(OWS))
        .filter(|member| !member.is_empty());
    let members: Vec<_> = members.take(MAX_MEMBERS + 1).collect();
    let is_valid = members.len() <= MAX_MEMBERS && members.iter().copied().all(is_member);
    is_valid.then_some(members)
}

fn is_member(member: &str) -> bool {
    member
        .split_once('=')
        .is_some_and(|(key, value)| is_key(key) && is_value(value))
}

fn is_key(key: &str) -> bool {
    let is_start = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    key.len() <= MAX_MEMBER_TEXT
        && key.bytes().next().is_some_and(is_start)
        && key
            .bytes()
            .all(|byte| is_start(byte) || b"_-*/@".contains(&byte))
}

/// Printable ASCII without comma and `=`. A space at the end does not get here: it was trimmed.
fn is_value(value: &str) -> bool {
    (1..=MAX_MEMBER_TEXT).contains(&value.len())
        && value
            .bytes()
            .all(|byte| matches!(byte, b' '..=b'~') && byte != b'=')
}

/// The members whose keys follow Level 1, with at most one `@`: `TraceState` refuses the others.
fn accepted_by_sdk(members: &[&str]) -> TraceState {
    let pairs = members.iter().filter_map(|member| member.split_once('='));
    let accepted = pairs.filter(|pair| TraceState::from_key_value([*pair]).is_ok());
    TraceState::from_key_value(accepted).unwrap_or_default()
}
