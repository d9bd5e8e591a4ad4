//! The relay's connection: it holds the lock, and all statements of the relay run on it.
//!
//! A session lock has no expiry of its own, and either end of the connection may freeze: a process that is stopped, a
//! machine that is gone, a network that drops packets. So each side gives up on the other:
//!
//! - The relay waits [`SILENCE`] for the answer to a statement. After that it drops the connection and never uses it
//!   again: a late answer would be taken for the answer to the next statement.
//! - PostgreSQL ends the session of a relay that has sent no statement for [`SILENCE`] (`idle_session_timeout`). The
//!   relay sends one at least every 100 ms, so only a frozen relay is silent for that long.
//! - A relay whose machine is gone does not answer keepalive probes: PostgreSQL ends its session after 2 s. One whose
//!   process was killed is noticed at once, since the kernel closes its connection.

use std::{future::Future, sync::Arc, time::Duration};

use sqlx::{AssertSqlSafe, Connection, PgConnection, postgres::PgConnectOptions};
use tokio::time::timeout;

use crate::Error;

/// How long the relay waits for PostgreSQL, and PostgreSQL for the relay, before the other side counts as gone.
pub(crate) const SILENCE: Duration = Duration::from_secs(5);

/// Settings of the session. `idle_session_timeout` came with PostgreSQL 14.
const SETTINGS: [(&str, &str); 8] = [
    ("idle_session_timeout", "5s"),
    ("statement_timeout", "5s"),
    ("tcp_keepalives_idle", "1"),
    ("tcp_keepalives_interval", "1"),
    ("tcp_keepalives_count", "1"),
    ("tcp_user_timeout", "2s"),
    // An outbox is empty one moment and long the next, so the planner's statistics are wrong most of the time. Whatever
    // it believes, every statement is to go by the primary key.
    ("enable_seqscan", "off"),
    ("jit", "off"),
];

/// The statements about one outbox table.
#[derive(Debug)]
pub(crate) struct Statements {
    lock: Arc<str>,
    oldest: Arc<str>,
    delete: Arc<str>,
    writers: Arc<str>,
    lowest: Arc<str>,
}

/// A message that waits in the table.
#[derive(Debug, sqlx::FromRow)]
pub(crate) struct Row {
    pub(crate) id: i64,
    pub(crate) topic: String,
    pub(crate) key: String,
    pub(crate) payload: Vec<u8>,
    /// A JSON object of strings.
    pub(crate) headers: String,
    /// How long the message has waited, in seconds.
    pub(crate) waited: f64,
    /// How many rows the statement looked at to find this one and its siblings.
    seen: i64,
}

impl Statements {
    pub(crate) fn of(table: &str) -> Self {
        Self {
            // The lock's number is a hash of the table's name.
            lock: format!("SELECT pg_try_advisory_lock(hashtextextended('{table}', 0))").into(),
            // `waiting` reads no payloads, which may be large and stored elsewhere: of a key with 1,000 rows one is
            // sent. The LIMIT in `message` makes PostgreSQL look up each id by the primary key. NOT IN, unlike
            // `<> ALL`, compares by a hash table, also in a generic plan.
            oldest: format!(
                "WITH waiting AS MATERIALIZED (
                     SELECT id, key FROM {table}
                     WHERE id > $1 AND key NOT IN (SELECT unnest($2::text[]))
                     ORDER BY id LIMIT $3)
                 SELECT message.*, (SELECT count(*) FROM waiting) AS seen
                 FROM (SELECT DISTINCT ON (key) id FROM waiting ORDER BY key, id) AS oldest
                 CROSS JOIN LATERAL (
                     SELECT id, topic, key, payload, headers::text AS headers,
                            extract(epoch FROM clock_timestamp() - created_at)::float8 AS waited
                     FROM {table} WHERE id = oldest.id LIMIT 1) AS message
                 ORDER BY message.id"
            )
            .into(),
            delete: format!("DELETE FROM {table} WHERE id = ANY ($1)").into(),
            writers: format!(
                "SELECT virtualtransaction FROM pg_locks
                 WHERE locktype = 'relation' AND mode = 'RowExclusiveLock' AND granted
                   AND relation = '{table}'::regclass
                   AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
            )
            .into(),
            lowest: format!("SELECT min(id) FROM {table} WHERE id > $1 AND id <= $2").into(),
        }
    }
}

/// A connection of the relay's own. An error of any method means that the lock may be lost. Dropping the session closes
/// the connection, whereupon PostgreSQL releases the lock.
pub(crate) struct Session {
    connection: PgConnection,
    statements: Arc<Statements>,
}

impl Session {
    pub(crate) async fn connect(
        options: PgConnectOptions,
        statements: Arc<Statements>,
    ) -> Result<Self, Error> {
        let options = options.options(SETTINGS);
        Ok(Self {
            connection: in_time(PgConnection::connect_with(&options)).await?,
            statements,
        })
    }

    /// Takes the lock. False: another session holds it.
    pub(crate) async fn try_lock(&mut self) -> Result<bool, Error> {
        let query = sqlx::query_scalar(AssertSqlSafe(Arc::clone(&self.statements.lock)));
        in_time(query.fetch_one(&mut self.connection)).await
    }

    /// Of each key that is not in `except` the oldest row, if it is one of the `limit` oldest rows of all of them and
    /// has an id above `floor`. The answer says as well whether there were `limit` rows, so that more may be waiting.
    pub(crate) async fn oldest(
        &mut self,
        floor: i64,
        except: &[&str],
        limit: usize,
    ) -> Result<(Vec<Row>, bool), Error> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let query = sqlx::query_as(AssertSqlSafe(Arc::clone(&self.statements.oldest)))
            .bind(floor)
            .bind(except)
            .bind(limit);
        let rows: Vec<Row> = in_time(query.fetch_all(&mut self.connection)).await?;
        let more = rows.first().is_some_and(|row| row.seen == limit);
        Ok((rows, more))
    }

    pub(crate) async fn delete(&mut self, ids: &[i64]) -> Result<(), Error> {
        if ids.is_empty() {
            return Ok(());
        }
        let query = sqlx::query(AssertSqlSafe(Arc::clone(&self.statements.delete))).bind(ids);
        in_time(query.execute(&mut self.connection)).await?;
        Ok(())
    }

    /// Asks whether the session, and so the lock, is still there.
    pub(crate) async fn ping(&mut self) -> Result<(), Error> {
        in_time(self.connection.ping()).await
    }

    /// The transactions that have written to the table and have not ended.
    pub(crate) async fn writers(&mut self) -> Result<Vec<String>, Error> {
        let query = sqlx::query_scalar(AssertSqlSafe(Arc::clone(&self.statements.writers)));
        in_time(query.fetch_all(&mut self.connection)).await
    }

    /// The lowest id above `floor`, up to and including `highest`.
    pub(crate) async fn lowest(&mut self, floor: i64, highest: i64) -> Result<Option<i64>, Error> {
        let query = sqlx::query_scalar(AssertSqlSafe(Arc::clone(&self.statements.lowest)))
            .bind(floor)
            .bind(highest);
        in_time(query.fetch_one(&mut self.connection)).await
    }
}

async fn in_time<T>(answer: impl Future<Output = sqlx::Result<T>>) -> Result<T, Error> {
    match timeout(SILENCE, answer).await {
        Ok(answer) => Ok(answer?),
        Err(_) => Err(Error::Timeout(SILENCE)),
    }
}
