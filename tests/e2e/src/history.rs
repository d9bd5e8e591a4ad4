//! The history of a run: each request of each client, with its times and its outcome, and the rules that it must obey.
//!
//! Clients only record. [`History::violations`] runs when everything is over, so a rule can use what was learnt later,
//! and the same history always gives the same verdict. The rules are in `history/rules.rs`.
//!
//! Times are those of one monotonic clock in the process of the clients. A request takes effect, or reads, at some
//! moment between `begun` and `ended`. So rules only order two requests if one ended before the other one began.

mod rules;
#[cfg(test)]
mod tests;

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

/// A request and its outcome.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// When the client sent the request, since the start of the history.
    pub begun: Duration,
    /// When the client had the answer, or gave up.
    pub ended: Duration,
    /// The request with its outcome.
    pub request: Request,
}

/// What was requested, and the outcome.
#[derive(Debug, Clone, PartialEq)]
pub enum Request {
    /// `POST /orders`. A client retries with the same key and the same items until it gets a 201.
    Place {
        /// The `Idempotency-Key`.
        key: String,
        /// How many pieces of which item.
        items: Vec<(i64, String)>,
        /// The order of a 201.
        outcome: Outcome<Seen>,
    },
    /// `GET /orders/{id}`.
    Get {
        /// The id that was asked for.
        id: String,
        /// The order of a 200.
        outcome: Outcome<Seen>,
    },
    /// `GET /orders?limit=&before=` from the newest order on, several pages in a row.
    List {
        /// The orders of all pages, newest first.
        outcome: Outcome<Vec<Seen>>,
    },
    /// `GET /inventory/stock`.
    Stock {
        /// The levels of all items.
        outcome: Outcome<Vec<Level>>,
    },
}

/// The outcome of a request.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome<T> {
    /// The request succeeded.
    Answered(T),
    /// This status was answered instead of a success.
    Refused(u16),
    /// There was no answer, for this reason. The request may have taken effect, or may still do so.
    Unknown(String),
}

/// An order as an answer shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// The order's id.
    pub id: String,
    /// `pending`, `confirmed` or `cancelled`.
    pub status: String,
    /// RFC 3339, in UTC and with microseconds: the order of the texts is the order of the times.
    pub created_at: String,
}

/// The stock of an item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Level {
    /// The item.
    pub item: String,
    /// Pieces that can be reserved.
    pub available: i64,
    /// Pieces that orders hold.
    pub reserved: i64,
}

/// A mail that left the house: the order and the kind of the mail.
pub type Mail = (String, String);

/// All that was recorded.
#[derive(Debug, Clone, Default)]
pub struct History {
    /// The requests, in the order in which they ended.
    pub entries: Vec<Entry>,
    /// The stock before the first request.
    pub stock: Vec<Level>,
    /// Every mail that was sent; one that was sent twice is here twice.
    pub mails: Vec<Mail>,
    /// The mails in the window that `email` documents: claimed and not marked as sent when `email` or its database was
    /// killed or frozen. Each of them may be sent twice.
    pub in_window: Vec<Mail>,
}

impl History {
    /// What breaks a rule, a line each. Empty if all is well.
    #[must_use]
    pub fn violations(&self) -> Vec<String> {
        rules::ALL.iter().flat_map(|rule| rule(self)).collect()
    }
}

/// Records entries. Clones record into the same history.
#[derive(Debug, Clone)]
pub struct Recorder {
    start: Instant,
    wall_clock_start: SystemTime,
    entries: Arc<Mutex<Vec<Entry>>>,
}

impl Default for Recorder {
    fn default() -> Self {
        Self {
            start: Instant::now(),
            wall_clock_start: SystemTime::now(),
            entries: Arc::default(),
        }
    }
}

impl Recorder {
    /// The time since the start of the history.
    #[must_use]
    pub fn now(&self) -> Duration {
        self.start.elapsed()
    }

    /// A time of the history as spans have it: in nanoseconds since 1970.
    #[must_use]
    pub fn nanoseconds(&self, time: Duration) -> u64 {
        let since_1970 = (self.wall_clock_start + time).duration_since(UNIX_EPOCH);
        u64::try_from(since_1970.unwrap_or_default().as_nanos()).unwrap_or(u64::MAX)
    }

    /// Records a request that was sent at `begun` and has ended now.
    pub fn record(&self, begun: Duration, request: Request) {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        // Read under the lock, so that entries are in the order of their ends.
        let ended = self.now();
        entries.push(Entry {
            begun,
            ended,
            request,
        });
    }

    /// All entries until now.
    #[must_use]
    pub fn entries(&self) -> Vec<Entry> {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.clone()
    }
}
