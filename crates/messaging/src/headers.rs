//! A message's headers, read once and without rdkafka's panic.
//!
//! Kafka's protocol says that header names are UTF-8, and rdkafka 0.39 trusts it: `Headers::try_get` panics on any
//! other name. One bad message must not end a consumer, so the panic is caught here and that header is skipped. Each
//! caught panic still runs the process's panic hook, which is why a message's headers are read once, into
//! [`MessageHeaders`], and not once for each name that somebody looks up.

use std::panic::{AssertUnwindSafe, catch_unwind};

use rdkafka::message::{Header, Headers, Message, OwnedHeaders, ToBytes};

/// The headers of one message, in their order.
#[derive(Debug, Clone, Default)]
pub struct MessageHeaders<'a>(Vec<Header<'a, &'a [u8]>>);

impl<'a> MessageHeaders<'a> {
    /// Reads the headers of `message`; none if it has none.
    pub fn of(message: &'a impl Message) -> Self {
        message.headers().map(Self::read).unwrap_or_default()
    }

    /// Reads `headers`.
    pub fn read(headers: &'a impl Headers) -> Self {
        let readable = (0..headers.count()).filter_map(|index| {
            catch_unwind(AssertUnwindSafe(|| headers.try_get(index))).unwrap_or_default()
        });
        Self(readable.collect())
    }

    /// All headers, the oldest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Header<'a, &'a [u8]>> {
        self.0.iter()
    }

    /// The values of every header of this name that are text, the oldest first. Names match in any case.
    pub fn texts(&self, name: &str) -> impl DoubleEndedIterator<Item = &'a str> {
        let same_name = move |header: &&Header<'a, _>| header.key.eq_ignore_ascii_case(name);
        let found = self.0.iter().filter(same_name);
        found.filter_map(|header| std::str::from_utf8(header.value?).ok())
    }

    /// The value of the last header of exactly this name; `None` if it is absent or null.
    #[must_use]
    pub fn last(&self, name: &str) -> Option<&'a [u8]> {
        let found = self.0.iter().rev().find(|header| header.key == name);
        found.and_then(|header| header.value)
    }
}

/// Appends a header.
pub fn append(headers: &mut OwnedHeaders, key: &str, value: &(impl ToBytes + ?Sized)) {
    let value = Some(value);
    *headers = std::mem::take(headers).insert(Header { key, value });
}

/// Removes every header of this name, in any case.
pub fn remove(headers: &mut OwnedHeaders, name: &str) {
    let old = MessageHeaders::read(headers);
    let is_kept = |header: &&Header<'_, _>| !header.key.eq_ignore_ascii_case(name);
    if old.iter().all(|header| is_kept(&header)) {
        return;
    }
    let mut kept = OwnedHeaders::new_with_capacity(old.0.len());
    for header in old.iter().filter(is_kept) {
        kept = kept.insert(header.clone());
    }
    *headers = kept;
}
