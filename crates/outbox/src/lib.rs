//! A transactional outbox: a message stored with the change that it reports, and sent after the commit.
//!
//! The guarantee: if the transaction commits, its message is sent at least once; if it does not, the message never
//! existed. There is no moment at which one has happened and the other can be lost, since the message is a row of the
//! same transaction. A [`Relay`] sends the rows, and deletes each when the broker has acknowledged it.
//!
//! The trace survives the wait. The row keeps the trace context as the propagator writes it, so the `send` span is a
//! child of the request's span, however much later, and by whichever process, the message is sent. How long the row
//! waited is an attribute of that span.
//!
//! The crate knows PostgreSQL and [`messaging`], and nothing of its users. Its table is in a schema of theirs:
//!
//! ```sql
//! CREATE TABLE shop.outbox (
//!     id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
//!     topic      text        NOT NULL,
//!     key        text        NOT NULL,
//!     payload    bytea       NOT NULL,
//!     headers    jsonb       NOT NULL,
//!     created_at timestamptz NOT NULL DEFAULT clock_timestamp()
//! );
//! ```

mod relay;

use std::{collections::HashMap, sync::Arc};

use opentelemetry::{Context, global};
use sqlx::{AssertSqlSafe, PgConnection};
use tokio::sync::Notify;

pub use relay::Relay;

/// The outbox of one schema. Clones are the same outbox.
#[derive(Debug, Clone)]
pub struct Outbox {
    table: Arc<str>,
    insert: Arc<str>,
    appended: Arc<Notify>,
}

/// A message to be sent.
#[derive(Debug, Clone, Copy)]
pub struct OutboxMessage<'a> {
    /// The topic.
    pub topic: &'a str,
    /// Messages of one key are sent in the order in which they were appended.
    pub key: &'a str,
    /// The value.
    pub payload: &'a [u8],
    /// The value's media type, which becomes the header `content-type`.
    pub content_type: &'a str,
}

impl Outbox {
    /// The outbox in this schema. The name goes into SQL as it is: it must be trusted.
    #[must_use]
    pub fn in_schema(schema: &str) -> Self {
        let table = format!("{schema}.outbox");
        let insert = format!(
            "INSERT INTO {table} (topic, key, payload, headers) VALUES ($1, $2, $3, $4::jsonb)"
        );
        Self {
            table: table.into(),
            insert: insert.into(),
            appended: Arc::new(Notify::new()),
        }
    }

    /// The statement of [`append`](Self::append), for a caller that traces its statements.
    #[must_use]
    pub fn insert_sql(&self) -> &str {
        &self.insert
    }

    /// Appends a message, in the caller's transaction and with the caller's trace context: the one that is current when
    /// this is called, not the one in which the future runs, which may be a span of the statement.
    ///
    /// Messages of one key are sent in the order of their commits if they are appended under a lock by which
    /// transactions of that key exclude each other, such as the lock of the row that they change.
    ///
    /// # Errors
    /// The statement fails.
    pub fn append<'t>(
        &self,
        transaction: &'t mut PgConnection,
        message: OutboxMessage<'_>,
    ) -> impl Future<Output = sqlx::Result<()>> + Send + use<'t> {
        let insert = sqlx::query(AssertSqlSafe(Arc::clone(&self.insert)))
            .bind(message.topic.to_owned())
            .bind(message.key.to_owned())
            .bind(message.payload.to_owned())
            .bind(headers(message.content_type));
        async move { insert.execute(transaction).await.map(drop) }
    }

    /// Wakes the relay of this process after a transaction with a message was committed, so that it does not wait for
    /// its next look at the table.
    ///
    /// PostgreSQL's NOTIFY could wake the relays of other processes too; but a transaction that notifies takes a lock
    /// that makes commits go one by one.
    pub fn committed(&self) {
        self.appended.notify_one();
    }
}

/// The message's headers as JSON, the current trace context among them.
fn headers(content_type: &str) -> String {
    let mut headers = HashMap::from([("content-type".to_owned(), content_type.to_owned())]);
    global::get_text_map_propagator(|propagator| {
        propagator.inject_context(&Context::current(), &mut headers);
    });
    // W3C Trace Context asks senders not to send an empty `tracestate`.
    headers.retain(|_, value| !value.is_empty());
    serde_json::json!(headers).to_string()
}
