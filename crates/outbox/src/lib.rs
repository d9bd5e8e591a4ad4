//! A transactional outbox: a message stored with the change it tells of, and sent after the commit.
//!
//! The guarantee: if the transaction commits, its message is sent at least once; if it does not, the
//! message never was. There is no moment at which one has happened and the other can be lost, since
//! the message is a row of the same transaction. A [relay](Relay) sends the rows, and deletes each
//! when the broker has acknowledged it.
//!
//! The trace survives the wait. The row keeps the trace context as the propagator writes it, so that
//! the `send` span is a child of the request's span, however much later, and by whichever process,
//! the message is sent. How long the row waited is an attribute of that span.
//!
//! The crate knows PostgreSQL and messaging, and nothing of who uses it. Its table is expected in the
//! schema of its user (`migrations/0005_outbox.up.sql`).

mod relay;

use std::{collections::HashMap, sync::Arc};

use opentelemetry::{Context, global};
use sqlx::PgConnection;
use telemetry::sql::{Database, Statement};
use tokio::sync::Notify;

pub use relay::Relay;

/// The outbox of one schema. Clones are the same outbox.
#[derive(Debug, Clone)]
pub struct Outbox {
    schema: &'static str,
    insert: Statement<'static>,
    appended: Arc<Notify>,
}

/// A message to be sent.
#[derive(Debug, Clone, Copy)]
pub struct OutboxMessage<'a> {
    /// Where to.
    pub topic: &'a str,
    /// Messages of one key are sent in the order in which they were appended.
    pub key: &'a str,
    /// The message itself.
    pub payload: &'a [u8],
    /// What it is, as in the header `content-type`.
    pub content_type: &'a str,
}

impl Outbox {
    /// The outbox in this schema.
    #[must_use]
    pub fn in_schema(schema: &'static str) -> Self {
        Self {
            schema,
            insert: Statement {
                summary: leak(format!("INSERT {schema}.outbox")),
                text: leak(format!(
                    "INSERT INTO {schema}.outbox (topic, key, payload, headers)
                     VALUES ($1, $2, $3, $4::jsonb)"
                )),
            },
            appended: Arc::new(Notify::new()),
        }
    }

    /// Appends a message, in the caller's transaction and with the caller's trace context.
    ///
    /// For messages of one key to be sent in the order of their commits, append them under a lock
    /// that transactions of that key exclude each other by, such as the lock of the row they change.
    ///
    /// # Errors
    /// The statement fails.
    pub async fn append(
        &self,
        db: &Database,
        transaction: &mut PgConnection,
        message: OutboxMessage<'_>,
    ) -> sqlx::Result<()> {
        let query = sqlx::query(self.insert.text)
            .bind(message.topic)
            .bind(message.key)
            .bind(message.payload)
            .bind(headers(message.content_type));
        db.run(&self.insert, query.execute(transaction)).await?;
        Ok(())
    }

    /// Tells the relay of this process that a transaction with a message has been committed, so that
    /// it need not wait until it looks by itself.
    ///
    /// The database could tell relays elsewhere, by NOTIFY; but a transaction that notifies takes a
    /// lock that makes commits go one by one.
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
    serde_json::json!(headers).to_string()
}

/// A text that is made once and needed until the program ends.
fn leak(text: String) -> &'static str {
    text.leak()
}
