//! The invariants, and what must be remembered to check them.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use messaging::{Instrumentation, MessageHeaders};
use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracerProvider};

use super::broker::{Broker, Sent};
use crate::core::{Limits, Place};

/// What has happened to the messages so far.
pub(super) struct Checks {
    handled: BTreeSet<u64>,
    letters: BTreeSet<u64>,
    /// Messages that the broker itself has lost; nobody can be expected to handle them.
    gone: BTreeSet<u64>,
    /// Handlers that run, by message, with the member.
    running: BTreeMap<(u32, u64), Arc<Sent>>,
    /// Partitions whose order by key is not promised any more: a member lost them without noticing.
    lost: BTreeSet<Place>,
    spans: InMemorySpanExporter,
    instrumentation: Instrumentation,
}

impl Checks {
    pub(super) fn new() -> Self {
        opentelemetry::global::set_text_map_propagator(
            opentelemetry_sdk::propagation::TraceContextPropagator::new(),
        );
        let spans = InMemorySpanExporter::default();
        let provider = SdkTracerProvider::builder()
            .with_simple_exporter(spans.clone())
            .build();
        Self {
            handled: BTreeSet::new(),
            letters: BTreeSet::new(),
            gone: BTreeSet::new(),
            running: BTreeMap::new(),
            lost: BTreeSet::new(),
            instrumentation: Instrumentation::default().with_tracer_provider(&provider),
            spans,
        }
    }

    pub(super) fn is_finished(&self, number: u64) -> bool {
        self.handled.contains(&number) || self.letters.contains(&number)
    }

    /// The broker has lost a message.
    pub(super) fn gone(&mut self, sent: &Sent) {
        self.gone.insert(sent.number);
    }

    /// A member may go on with a partition that another one has by now.
    pub(super) fn lost(&mut self, place: &Place) {
        self.lost.insert(place.clone());
    }

    /// Per-key order holds where no partition was lost, and every `process` span's parent is the `send` of that very
    /// message.
    pub(super) fn handler_starts(
        &mut self,
        member: u32,
        sent: &Arc<Sent>,
        retries: u32,
        broker: &Broker,
    ) {
        if let Some(key) = sent.key.filter(|_| !self.lost.contains(&sent.place)) {
            for ((other, number), running) in &self.running {
                let is_same = running.place == sent.place && running.key == Some(key);
                assert!(
                    !is_same,
                    "members {member} and {other} handle {number} and {} of one key at once",
                    sent.number
                );
            }
            let earlier = broker.logs[&sent.place].messages.iter();
            let earlier =
                earlier.filter(|earlier| earlier.key == Some(key) && earlier.offset < sent.offset);
            for earlier in earlier.filter(|earlier| earlier.life == sent.life) {
                let number = earlier.number;
                assert!(
                    self.is_finished(number) || self.gone.contains(&number),
                    "{} is handled before {number} of its key",
                    sent.number
                );
            }
        }
        self.running.insert((member, sent.number), Arc::clone(sent));

        let headers = MessageHeaders::of(&sent.message);
        drop(
            self.instrumentation
                .retry_span(&sent.message, &headers, retries),
        );
        let span = self
            .spans
            .get_finished_spans()
            .expect("spans in memory")
            .remove(0);
        self.spans.reset();
        assert_eq!(
            span.parent_span_id.to_string(),
            Sent::span_id(sent.number),
            "the parent"
        );
    }

    pub(super) fn handler_ends(&mut self, member: u32, sent: &Sent, handled: bool) {
        self.running.remove(&(member, sent.number));
        if handled {
            self.handled.insert(sent.number);
        }
    }

    /// All handlers of a member are gone.
    pub(super) fn member_ends(&mut self, member: u32) {
        self.running.retain(|(of, _), _| *of != member);
    }

    pub(super) fn letter_written(&mut self, sent: &Sent) {
        self.letters.insert(sent.number);
    }

    /// A committed offset never covers an unfinished message.
    pub(super) fn committed(&self, place: &Place, offset: i64, life: u32, broker: &Broker) {
        let covered = broker.logs[place].messages.iter();
        for sent in covered.filter(|sent| sent.offset < offset && sent.life <= life) {
            let number = sent.number;
            let is_excused = self.gone.contains(&number);
            assert!(
                self.is_finished(number) || is_excused,
                "{offset} of {place:?} covers {number}, which is unfinished"
            );
        }
    }

    /// Bounds hold.
    pub(super) fn in_hand(
        &self,
        limits: &Limits,
        handling: usize,
        messages: usize,
        bytes: usize,
        largest: usize,
    ) {
        assert!(handling <= limits.handlers, "{handling} handlers");
        assert!(messages <= limits.messages, "{messages} messages in hand");
        assert!(bytes < limits.bytes + largest, "{bytes} bytes in hand");
    }

    /// Every message ends handled, or as a dead letter.
    pub(super) fn unfinished(&self, broker: &Broker) -> Vec<u64> {
        let all = broker.logs.values().flat_map(|log| &log.messages);
        let numbers = all.map(|sent| sent.number);
        numbers
            .filter(|number| !self.is_finished(*number) && !self.gone.contains(number))
            .collect()
    }

    /// What cannot be handled was never handled.
    pub(super) fn at_the_end(&self, broker: &Broker) {
        for sent in broker.logs.values().flat_map(|log| &log.messages) {
            assert!(
                !(sent.is_poison && self.handled.contains(&sent.number)),
                "poison was handled"
            );
        }
    }
}
