//! Partitions, committed offsets, and who owns what.

use std::{collections::BTreeMap, sync::Arc};

use messaging::headers;
use rdkafka::message::{OwnedHeaders, OwnedMessage, Timestamp};

use crate::core::Place;

/// A message, as it was sent.
#[derive(Debug)]
pub(super) struct Sent {
    /// Different for each message, also where offsets come again.
    pub(super) number: u64,
    pub(super) place: Place,
    /// Which life of the log it belongs to.
    pub(super) life: u32,
    pub(super) offset: i64,
    pub(super) key: Option<u64>,
    pub(super) bytes: usize,
    /// Whether it can never be handled.
    pub(super) is_poison: bool,
    pub(super) message: OwnedMessage,
}

impl Sent {
    /// The id of the span that sent message `number`.
    pub(super) fn span_id(number: u64) -> String {
        format!("{:016x}", number + 1)
    }
}

/// One partition.
#[derive(Debug, Default)]
pub(super) struct Log {
    pub(super) life: u32,
    pub(super) messages: Vec<Arc<Sent>>,
    pub(super) committed: Option<i64>,
    pub(super) owner: Option<u32>,
}

impl Log {
    pub(super) fn end(&self) -> i64 {
        self.messages.len() as i64
    }

    pub(super) fn at(&self, offset: i64) -> Option<&Arc<Sent>> {
        self.messages.get(usize::try_from(offset).ok()?)
    }

    /// Where a consumer starts that was at `position`: at the first message, if that is beyond the end.
    pub(super) fn start_from(&self, position: Option<i64>) -> i64 {
        position
            .filter(|position| *position <= self.end())
            .unwrap_or(0)
    }
}

/// All partitions of one topic.
#[derive(Debug)]
pub(super) struct Broker {
    pub(super) logs: BTreeMap<Place, Log>,
    pub(super) is_down: bool,
    numbers: u64,
}

impl Broker {
    pub(super) fn new(partitions: i32) -> Self {
        let topic: Arc<str> = "orders".into();
        let place = |partition| Place::new(Arc::clone(&topic), partition);
        Self {
            logs: (0..partitions)
                .map(|partition| (place(partition), Log::default()))
                .collect(),
            is_down: false,
            numbers: 0,
        }
    }

    pub(super) fn send(&mut self, place: &Place, key: Option<u64>, bytes: usize, is_poison: bool) {
        let number = self.numbers;
        self.numbers += 1;
        let log = self.logs.get_mut(place).expect("a partition");
        let offset = log.end();
        let mut headers = OwnedHeaders::new();
        let traceparent = format!("00-{:032x}-{}-01", number + 1, Sent::span_id(number));
        headers::append(&mut headers, "traceparent", &traceparent);
        let key_bytes = key.map(|key| key.to_be_bytes().to_vec());
        let message = OwnedMessage::new(
            Some(vec![]),
            key_bytes,
            place.topic.to_string(),
            Timestamp::NotAvailable,
            place.partition,
            offset,
            Some(headers),
        );
        log.messages.push(Arc::new(Sent {
            number,
            place: place.clone(),
            life: log.life,
            offset,
            key,
            bytes,
            is_poison,
            message,
        }));
    }
}
