#![doc = include_str!("../README.md")]

mod error;
mod floor;
mod in_flight;
mod relay;
mod session;
mod status;

use std::{collections::HashMap, sync::Arc};

use opentelemetry::{Context, global};
use sqlx::{AssertSqlSafe, PgConnection};
use tokio::sync::{Notify, watch};

pub use error::Error;
pub use relay::Relay;
pub use status::RelayStatus;

/// The outbox of one schema. Clones are the same outbox.
#[derive(Debug, Clone)]
pub struct Outbox {
    table: Arc<str>,
    insert: Arc<str>,
    appended: Arc<Notify>,
    status: watch::Sender<RelayStatus>,
}

/// A message to be sent.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct OutboxMessage<'a> {
    /// The topic.
    pub topic: &'a str,
    /// Messages with the same key are sent in the order in which they were appended.
    pub key: &'a str,
    /// The value.
    pub payload: &'a [u8],
    /// The value's media type, sent as the header `content-type`. `None`: no such header.
    pub content_type: Option<&'a str>,
}

impl<'a> OutboxMessage<'a> {
    /// A message without a content type.
    #[must_use]
    pub fn new(topic: &'a str, key: &'a str, payload: &'a [u8]) -> Self {
        Self {
            topic,
            key,
            payload,
            content_type: None,
        }
    }

    /// The message with this media type.
    #[must_use]
    pub fn with_content_type(mut self, content_type: &'a str) -> Self {
        self.content_type = Some(content_type);
        self
    }
}

impl Outbox {
    /// The outbox in this schema. The name becomes part of SQL statements: it must come from your code, not from input.
    #[must_use]
    pub fn in_schema(schema: &str) -> Self {
        let insert = format!(
            "INSERT INTO {schema}.outbox (topic, key, payload, headers)
                     VALUES ($1, $2, $3, $4::jsonb)"
        );
        Self {
            table: format!("{schema}.outbox").into(),
            insert: insert.into(),
            appended: Arc::new(Notify::new()),
            status: watch::Sender::new(RelayStatus::Stopped),
        }
    }

    /// The statement that [`append`](Self::append) executes, for a caller that traces its statements.
    #[must_use]
    pub fn insert_sql(&self) -> &str {
        &self.insert
    }

    /// Appends a message, in the caller's transaction.
    ///
    /// The trace context is the one that is current when this function is called, not when the future is polled: that
    /// may happen inside a span of the statement, and the message belongs to the span around it.
    ///
    /// Messages of one key are sent in the order of their commits if transactions of that key exclude each other, for
    /// example because each of them first locks the row that the messages are about.
    ///
    /// # Errors
    /// The statement fails. The transaction is then aborted.
    pub fn append<'a>(
        &'a self,
        transaction: &'a mut PgConnection,
        message: OutboxMessage<'a>,
    ) -> impl Future<Output = sqlx::Result<()>> + Send + 'a {
        let query = sqlx::query(AssertSqlSafe(Arc::clone(&self.insert)))
            .bind(message.topic)
            .bind(message.key)
            .bind(message.payload)
            .bind(headers(message.content_type));
        async move {
            query.execute(transaction).await?;
            Ok(())
        }
    }

    /// Wakes the relay of this process after a transaction with a message was committed. Without this call the relay
    /// finds the message at its next poll, 100 ms later at most.
    ///
    /// PostgreSQL's NOTIFY could wake the relays of other processes too; but a transaction that notifies takes a lock
    /// that makes commits go one by one.
    pub fn committed(&self) {
        self.appended.notify_one();
    }

    /// What the relay of this process does at the moment, for a readiness check.
    #[must_use]
    pub fn relay_status(&self) -> RelayStatus {
        self.status.borrow().clone()
    }
}

/// The message's headers as JSON, the current trace context among them.
fn headers(content_type: Option<&str>) -> String {
    let mut headers = HashMap::new();
    if let Some(content_type) = content_type {
        headers.insert("content-type".to_owned(), content_type.to_owned());
    }
    global::get_text_map_propagator(|propagator| {
        propagator.inject_context(&Context::current(), &mut headers);
    });
    // W3C Trace Context asks senders not to send an empty `tracestate`.
    headers.retain(|_, value| !value.is_empty());
    serde_json::json!(headers).to_string()
}
