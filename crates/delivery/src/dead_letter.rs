//! Messages that can't be handled, kept with the reason why, and sent again on demand.
//!
//! A dead letter is the original message, byte for byte, in the topic `TOPIC.dlq`, with headers
//! added. Their names and encodings are those of Spring Kafka's `DeadLetterPublishingRecoverer`
//! (numbers are big-endian bytes), so that tools which read those read these. Spring has none for
//! three things: the original's `traceparent`, that a value was cut off, and how often a letter was
//! replayed; these follow its pattern. When it was written is the record's own timestamp.
//!
//! The trace goes on: the letter's `send` span is a child of the last `process` span that failed,
//! and a [replay](DeadLetter::replay) goes on from there.

use messaging::{MessageHeaders, carrier, headers};
use opentelemetry::Context;
use rdkafka::{
    message::{Header, Message, OwnedHeaders, OwnedMessage},
    producer::FutureRecord,
};

use crate::Failure;

/// The largest dead letter: what its topic and its producer allow. The original may be as large as
/// the broker's default of 1 MiB, and headers come on top.
pub const MAX_BYTES: u32 = 2 * 1024 * 1024;
/// What a record's framing may take of it.
const FRAMING: usize = 1024;
/// The longest description, and the longest key of a reference, in bytes.
const SHORT: usize = 1024;

const ORIGINAL_TOPIC: &str = "kafka_dlt-original-topic";
const ORIGINAL_PARTITION: &str = "kafka_dlt-original-partition";
const ORIGINAL_OFFSET: &str = "kafka_dlt-original-offset";
const ORIGINAL_TIMESTAMP: &str = "kafka_dlt-original-timestamp";
const ORIGINAL_TRACEPARENT: &str = "kafka_dlt-original-traceparent";
const ERROR_TYPE: &str = "kafka_dlt-exception-fqcn";
const ERROR_MESSAGE: &str = "kafka_dlt-exception-message";
const TRUNCATED_FROM: &str = "kafka_dlt-truncated-from";
const REPLAYS: &str = "kafka_dlt-replays";
/// Spring's count of delivery attempts. A replay keeps it: what comes then is one more attempt.
const ATTEMPTS: &str = "retry_topic-attempts";

/// The topic in which the dead letters of a topic are kept.
#[must_use]
pub fn topic_of(topic: &str) -> String {
    format!("{topic}.dlq")
}

/// A dead letter to be written.
#[derive(Debug)]
pub(crate) struct Letter<'a> {
    topic: String,
    key: Option<&'a [u8]>,
    payload: Option<&'a [u8]>,
    headers: OwnedHeaders,
}

impl<'a> Letter<'a> {
    /// The letter of a message that was tried `attempts` times, for `topic` or else for the topic that the message's
    /// own has for dead letters.
    pub(crate) fn new(
        message: &'a OwnedMessage,
        topic: Option<&str>,
        failure: &Failure,
        attempts: u32,
    ) -> Self {
        let headers = with_reason(
            original_headers(&MessageHeaders::of(message)),
            message,
            failure,
            attempts,
        );
        let letter = Self {
            topic: topic.map_or_else(|| topic_of(message.topic()), str::to_owned),
            key: message.key(),
            payload: message.payload(),
            headers,
        };
        letter.cut_to(MAX_BYTES as usize - FRAMING)
    }

    /// A letter that always fits: without the value and the original headers, and with a key only if it is short. It
    /// says where the original is and why it failed.
    pub(crate) fn reference(
        message: &'a OwnedMessage,
        topic: Option<&str>,
        failure: &Failure,
        attempts: u32,
    ) -> Self {
        let mut headers = with_reason(OwnedHeaders::new(), message, failure, attempts);
        let length = message.payload().map_or(0, <[u8]>::len) as u64;
        replace(&mut headers, TRUNCATED_FROM, &length.to_be_bytes());
        Self {
            topic: topic.map_or_else(|| topic_of(message.topic()), str::to_owned),
            key: message.key().filter(|key| key.len() <= SHORT),
            payload: None,
            headers,
        }
    }

    pub(crate) fn topic(&self) -> &str {
        &self.topic
    }

    pub(crate) fn record(&self) -> FutureRecord<'_, [u8], [u8]> {
        let mut record = FutureRecord::to(&self.topic).headers(self.headers.clone());
        record.key = self.key;
        record.payload = self.payload;
        record
    }

    /// Cuts the value where the whole would be too large, and says so. Such a letter shows whose message failed and why,
    /// and is never replayed.
    fn cut_to(mut self, limit: usize) -> Self {
        let around = self.key.map_or(0, <[u8]>::len) + size(&self.headers);
        if let Some(payload) = self.payload
            && around + payload.len() > limit
        {
            let rest = limit.saturating_sub(around).min(payload.len());
            self.payload = Some(&payload[..rest]);
            let length = (payload.len() as u64).to_be_bytes();
            replace(&mut self.headers, TRUNCATED_FROM, &length);
        }
        self
    }
}

/// A dead letter, read back.
#[derive(Debug, Clone)]
pub struct DeadLetter(OwnedMessage);

impl DeadLetter {
    /// What was read from the topic of the dead letters.
    #[must_use]
    pub fn new(message: OwnedMessage) -> Self {
        Self(message)
    }

    /// The letter as it lies in its topic.
    #[must_use]
    pub fn message(&self) -> &OwnedMessage {
        &self.0
    }

    fn headers(&self) -> MessageHeaders<'_> {
        MessageHeaders::of(&self.0)
    }

    /// Where the original was: topic, partition, offset. None if the headers do not say, or not
    /// in a way that makes sense: then somebody else wrote this.
    #[must_use]
    pub fn original(&self) -> Option<(String, i32, i64)> {
        let headers = self.headers();
        let topic = text(&headers, ORIGINAL_TOPIC)?;
        let partition = i32::from_be_bytes(number(&headers, ORIGINAL_PARTITION)?);
        let offset = i64::from_be_bytes(number(&headers, ORIGINAL_OFFSET)?);
        Some((topic, partition, offset))
    }

    /// The kind of the failure, as in `error.type`.
    #[must_use]
    pub fn error_type(&self) -> Option<String> {
        text(&self.headers(), ERROR_TYPE)
    }

    /// What happened.
    #[must_use]
    pub fn error_message(&self) -> Option<String> {
        text(&self.headers(), ERROR_MESSAGE)
    }

    /// How often its handling was attempted, replays included.
    #[must_use]
    pub fn attempts(&self) -> u32 {
        tries_before(&self.headers())
    }

    /// How often it was sent again before.
    #[must_use]
    pub fn replays(&self) -> u32 {
        number(&self.headers(), REPLAYS).map_or(0, u32::from_be_bytes)
    }

    /// Whether a part of the value is missing.
    #[must_use]
    pub fn is_truncated(&self) -> bool {
        number::<8>(&self.headers(), TRUNCATED_FROM).is_some()
    }

    /// The trace that the letter belongs to, to go on in.
    #[must_use]
    pub fn context(&self) -> Context {
        carrier::extract(&self.0)
    }

    /// The message to send so that it is handled again, to its original topic and with its original
    /// headers. None if that would not be the original: it is truncated, or says not where it
    /// came from. To be sent under the letter's own [context](Self::context).
    #[must_use]
    pub fn replay<'a>(&'a self, topic: &'a str) -> Option<FutureRecord<'a, [u8], [u8]>> {
        if self.is_truncated() {
            return None;
        }
        let letter = self.headers();
        let mut headers = original_headers(&letter);
        replace(&mut headers, ATTEMPTS, &self.attempts().to_be_bytes());
        let replays = self.replays().saturating_add(1).to_be_bytes();
        replace(&mut headers, REPLAYS, &replays);
        if let Some(timestamp) = letter.last(ORIGINAL_TIMESTAMP) {
            replace(&mut headers, ORIGINAL_TIMESTAMP, timestamp);
        }
        let mut record = FutureRecord::to(topic).headers(headers);
        record.key = self.0.key();
        record.payload = self.0.payload();
        Some(record)
    }
}

/// How often the message's handling was attempted before it was sent, because it is a replay.
pub(crate) fn tries_before(headers: &MessageHeaders<'_>) -> u32 {
    number(headers, ATTEMPTS).map_or(0, u32::from_be_bytes)
}

/// The headers that the message had when it was first sent.
fn original_headers(headers: &MessageHeaders<'_>) -> OwnedHeaders {
    let ours = |header: &&Header<'_, _>| !header.key.starts_with("kafka_dlt-");
    let originals = headers.iter().filter(ours).cloned();
    originals.fold(OwnedHeaders::new(), OwnedHeaders::insert)
}

fn with_reason(
    mut headers: OwnedHeaders,
    message: &OwnedMessage,
    failure: &Failure,
    attempts: u32,
) -> OwnedHeaders {
    let before = MessageHeaders::of(message);
    let sent = message.timestamp().to_millis().map(i64::to_be_bytes);
    let first_sent = number(&before, ORIGINAL_TIMESTAMP).or(sent);
    let traceparent = text(&before, "traceparent");
    let mut description = failure.to_string();
    description.truncate(description.floor_char_boundary(SHORT));
    let reason: [(&str, Option<&[u8]>); 8] = [
        (ORIGINAL_TOPIC, Some(message.topic().as_bytes())),
        (ORIGINAL_PARTITION, Some(&message.partition().to_be_bytes())),
        (ORIGINAL_OFFSET, Some(&message.offset().to_be_bytes())),
        (
            ORIGINAL_TIMESTAMP,
            first_sent.as_ref().map(<[u8; 8]>::as_slice),
        ),
        (
            ORIGINAL_TRACEPARENT,
            traceparent.as_deref().map(str::as_bytes),
        ),
        (ERROR_TYPE, Some(failure.error_type().as_bytes())),
        (ERROR_MESSAGE, Some(description.as_bytes())),
        (REPLAYS, before.last(REPLAYS)),
    ];
    for (key, value) in reason {
        if let Some(value) = value {
            headers::append(&mut headers, key, value);
        }
    }
    replace(&mut headers, ATTEMPTS, &attempts.to_be_bytes());
    headers
}

/// Leaves one header of this name, with this value.
fn replace(headers: &mut OwnedHeaders, key: &str, value: &[u8]) {
    headers::remove(headers, key);
    headers::append(headers, key, value);
}

fn text(headers: &MessageHeaders<'_>, key: &str) -> Option<String> {
    headers.texts(key).next_back().map(str::to_owned)
}

fn number<const BYTES: usize>(headers: &MessageHeaders<'_>, key: &str) -> Option<[u8; BYTES]> {
    headers.last(key)?.try_into().ok()
}

fn size(headers: &OwnedHeaders) -> usize {
    /// What a header takes besides its key and value, at most.
    const LENGTHS: usize = 10;
    MessageHeaders::read(headers)
        .iter()
        .map(|header| header.key.len() + header.value.map_or(0, <[u8]>::len) + LENGTHS)
        .sum()
}

#[cfg(test)]
mod tests {
    use rdkafka::message::{Headers, Timestamp};

    use super::*;
    use crate::FailureClass;

    fn message(payload: Option<Vec<u8>>, headers: OwnedHeaders) -> OwnedMessage {
        let key = Some(b"key".to_vec());
        let sent = Timestamp::CreateTime(1_700_000_000_000);
        OwnedMessage::new(
            payload,
            key,
            "orders".to_owned(),
            sent,
            3,
            42,
            Some(headers),
        )
    }

    fn failure() -> Failure {
        Failure::new(FailureClass::Transient, "500", "email answered 500")
    }

    /// The letter as it would be read back.
    fn written(message: &OwnedMessage, attempts: u32) -> DeadLetter {
        let letter = Letter::new(message, None, &failure(), attempts);
        let owned = |bytes: Option<&[u8]>| bytes.map(<[u8]>::to_vec);
        DeadLetter(OwnedMessage::new(
            owned(letter.payload),
            owned(letter.key),
            letter.topic.clone(),
            Timestamp::now(),
            0,
            7,
            Some(letter.headers),
        ))
    }

    fn with_headers(pairs: &[(&str, &str)]) -> OwnedHeaders {
        pairs
            .iter()
            .fold(OwnedHeaders::new(), |headers, &(key, value)| {
                headers.insert(Header {
                    key,
                    value: Some(value),
                })
            })
    }

    #[test]
    fn says_what_it_was_and_why() {
        let headers = with_headers(&[("traceparent", "00-a"), ("content-type", "text/plain")]);
        let letter = written(&message(Some(b"value".to_vec()), headers), 5);
        assert_eq!(letter.0.topic(), "orders.dlq");
        assert_eq!(letter.0.key(), Some(&b"key"[..]));
        assert_eq!(letter.0.payload(), Some(&b"value"[..]));
        assert_eq!(letter.original(), Some(("orders".to_owned(), 3, 42)));
        assert_eq!(letter.error_type().as_deref(), Some("500"));
        assert_eq!(
            letter.error_message().as_deref(),
            Some("email answered 500")
        );
        assert_eq!(
            (letter.attempts(), letter.replays(), letter.is_truncated()),
            (5, 0, false)
        );
        assert_eq!(
            text(&letter.headers(), ORIGINAL_TRACEPARENT).as_deref(),
            Some("00-a")
        );
        assert_eq!(
            text(&letter.headers(), "content-type").as_deref(),
            Some("text/plain")
        );
        let sent = number(&letter.headers(), ORIGINAL_TIMESTAMP).map(i64::from_be_bytes);
        assert_eq!(sent, Some(1_700_000_000_000));
    }

    #[test]
    fn a_replay_is_the_original_that_knows_its_attempts() {
        let headers = with_headers(&[("content-type", "text/plain")]);
        let letter = written(&message(None, headers), 5);
        let replay = letter.replay("orders").unwrap();
        let headers = replay.headers.clone().unwrap();
        let mut keys: Vec<_> = headers.iter().map(|header| header.key).collect();
        keys.sort_unstable();
        assert_eq!(
            keys,
            ["content-type", ORIGINAL_TIMESTAMP, REPLAYS, ATTEMPTS]
        );
        assert_eq!((replay.key, replay.payload), (Some(&b"key"[..]), None));

        // The replay fails too: its letter knows of both.
        let again = message(None, headers);
        assert_eq!(tries_before(&MessageHeaders::of(&again)), 5);
        let letter = written(&again, 6);
        assert_eq!((letter.attempts(), letter.replays()), (6, 1));
        let sent = number(&letter.headers(), ORIGINAL_TIMESTAMP).map(i64::from_be_bytes);
        assert_eq!(sent, Some(1_700_000_000_000), "when it was first sent");
    }

    #[test]
    fn what_is_too_large_is_cut_and_says_so() {
        let limit = MAX_BYTES as usize;
        let fits = message(Some(vec![0; 1024 * 1024]), OwnedHeaders::new());
        assert!(!written(&fits, 1).is_truncated());
        let letter = written(&message(Some(vec![0; 2 * limit]), OwnedHeaders::new()), 1);
        let size = letter.0.payload().unwrap().len() + size(letter.0.headers().unwrap());
        assert!(size < limit && size > limit - 2 * FRAMING, "{size}");
        assert!(letter.is_truncated());
        assert!(letter.replay("orders").is_none(), "never half a message");
    }

    #[test]
    fn a_description_and_a_reference_are_bounded() {
        let endless = "ä".repeat(5_000);
        let failure = Failure::new(FailureClass::Permanent, "x", endless.clone());
        let headers = with_headers(&[("large", &endless)]);
        let large = message(Some(vec![0; 5_000]), headers);
        let whole = Letter::new(&large, None, &failure, 1);
        assert!(size(&whole.headers) < endless.len() + 2 * SHORT);
        let reference = Letter::reference(&large, Some("letters"), &failure, u32::MAX);
        assert_eq!((reference.topic(), reference.payload), ("letters", None));
        assert!(
            size(&reference.headers) < 3 * SHORT,
            "{}",
            size(&reference.headers)
        );
    }

    #[test]
    fn numbers_from_headers_saturate() {
        let mut headers = OwnedHeaders::new();
        for key in [ATTEMPTS, REPLAYS] {
            headers::append(&mut headers, key, &[0xff_u8; 4]);
        }
        let letter = DeadLetter(message(None, headers));
        assert_eq!((letter.attempts(), letter.replays()), (u32::MAX, u32::MAX));
        let replay = letter.replay("orders").unwrap().headers.unwrap();
        let replays = MessageHeaders::read(&replay);
        assert_eq!(number(&replays, REPLAYS), Some([0xff; 4]));
    }

    #[test]
    fn a_letter_that_somebody_else_wrote_has_no_original() {
        let letter = DeadLetter(message(None, with_headers(&[(ORIGINAL_TOPIC, "orders")])));
        assert_eq!(letter.original(), None);
        assert_eq!((letter.attempts(), letter.replays()), (0, 0));
    }
}
