//! Sends what is in the outbox.
//!
//! The guarantee: a row is deleted only after the broker has acknowledged its message, and of one key
//! only one message is on its way at a time, the oldest. So none is lost and none overtakes another.
//! A message can be sent twice, when the relay dies after the acknowledgement and before the delete:
//! consumers expect that.
//!
//! Of several processes one relays at a time: the one that holds an advisory lock, on a connection of
//! its own. All its statements run on that connection. If it breaks, the lock is gone and somebody
//! else may hold it, so what has not been sent is taken back before anything else is done.
//!
//! A broker that is away costs nothing: a bounded number of messages waits in the producer, all
//! others stay rows. Nothing in here is traced but the `send` itself.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use messaging::{FutureRecord, Producer};
use opentelemetry::{Context, KeyValue, global, trace::FutureExt};
use rdkafka::{
    ClientContext,
    message::{Header, OwnedHeaders},
    producer::{Producer as _, PurgeConfig},
};
use sqlx::{AssertSqlSafe, Connection, PgConnection, PgPool};
use tokio::{task::JoinSet, time::sleep};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::Outbox;

/// A message that does not fit into librdkafka's queue fails at once, and its row waits.
const NOT_WHEN_FULL: Duration = Duration::ZERO;
/// How many messages may be on their way at once.
const IN_FLIGHT: usize = 1_000;
/// How often rows that other processes appended are looked for, and a lost lock is tried again.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// How long a message that was refused, or a connection that was lost, is left alone.
const PAUSE: Duration = Duration::from_secs(1);

/// Sends the rows of one outbox.
#[derive(Debug)]
pub struct Relay<C: ClientContext + 'static> {
    database: PgPool,
    producer: Producer<C>,
    outbox: Outbox,
    statements: Statements,
    wait_time: &'static str,
}

#[derive(Debug)]
struct Statements {
    /// Under the number that the outbox's name hashes to.
    lock: Arc<str>,
    /// The oldest rows, but for those of the keys that are on their way.
    select: Arc<str>,
    delete: Arc<str>,
}

#[derive(Debug, sqlx::FromRow)]
struct Row {
    id: i64,
    topic: String,
    key: String,
    payload: Vec<u8>,
    headers: String,
    waited: f64,
}

/// What became of one send.
struct Sent {
    id: i64,
    key: String,
    acknowledged: bool,
}

impl<C: ClientContext + 'static> Relay<C> {
    /// A relay that reads from `database` and sends with `producer`. The producer must be idempotent and wait for all
    /// replicas (`enable.idempotence=true`, `acks=all`), and should wait for the broker without limit
    /// (`message.timeout.ms=0`).
    #[must_use]
    pub fn new(outbox: Outbox, database: PgPool, producer: Producer<C>) -> Self {
        let table = &outbox.table;
        let statements = Statements {
            lock: format!("SELECT pg_try_advisory_lock(hashtextextended('{table}', 0))").into(),
            select: format!(
                "SELECT id, topic, key, payload, headers::text AS headers,
                        extract(epoch FROM clock_timestamp() - created_at)::float8 AS waited
                 FROM {table} WHERE key <> ALL ($1) ORDER BY id LIMIT $2"
            )
            .into(),
            delete: format!("DELETE FROM {table} WHERE id = ANY ($1)").into(),
        };
        Self {
            database,
            producer,
            outbox,
            statements,
            wait_time: "outbox.wait_time",
        }
    }

    /// Names the attribute of the `send` span that says how long the row waited, in seconds. The default is
    /// `outbox.wait_time`.
    #[must_use]
    pub fn with_wait_time_attribute(mut self, name: &'static str) -> Self {
        self.wait_time = name;
        self
    }

    /// Relays until `shutdown` is asked for; then waits, for `drain` at most, for what is on its way.
    pub async fn run(self, shutdown: CancellationToken, drain: Duration) {
        while !shutdown.is_cancelled() {
            if let Err(error) = self.relay(&shutdown, drain).await {
                warn!(%error, "the outbox cannot be read at the moment; its rows wait");
                let all = PurgeConfig::default().queue().inflight();
                self.producer.client().purge(all);
                pause(PAUSE, &shutdown).await;
            }
        }
    }

    /// Waits for the lock and relays as long as its connection lasts.
    async fn relay(&self, shutdown: &CancellationToken, drain: Duration) -> sqlx::Result<()> {
        // Taken out of the pool for good: a lock must not go back into it.
        let mut connection = self.database.acquire().await?.detach();
        while !self.try_lock(&mut connection).await? {
            pause(LOOK_EVERY, shutdown).await;
            if shutdown.is_cancelled() {
                return connection.close().await;
            }
        }
        info!("this process relays the outbox");
        let mut on_their_way = OnTheirWay::default();
        while !shutdown.is_cancelled() {
            let room = IN_FLIGHT - on_their_way.keys.len();
            for row in self.oldest(&mut connection, &on_their_way, room).await? {
                on_their_way.send(&self.producer, row, self.wait_time);
            }
            let done = tokio::select! {
                sent = on_their_way.next() => sent,
                () = self.outbox.appended.notified(), if on_their_way.has_room() => vec![],
                () = sleep(LOOK_EVERY) => vec![],
                () = shutdown.cancelled() => vec![],
            };
            self.delete(&mut connection, &done).await?;
        }
        self.finish(&mut connection, on_their_way, drain).await?;
        connection.close().await
    }

    async fn finish(
        &self,
        connection: &mut PgConnection,
        mut on_their_way: OnTheirWay,
        drain: Duration,
    ) -> sqlx::Result<()> {
        let deadline = tokio::time::Instant::now() + drain;
        while !on_their_way.keys.is_empty() {
            let Ok(done) = tokio::time::timeout_at(deadline, on_their_way.next()).await else {
                info!("{} messages stay in the outbox", on_their_way.keys.len());
                return Ok(());
            };
            self.delete(connection, &done).await?;
        }
        Ok(())
    }

    async fn try_lock(&self, connection: &mut PgConnection) -> sqlx::Result<bool> {
        sqlx::query_scalar(AssertSqlSafe(Arc::clone(&self.statements.lock)))
            .fetch_one(connection)
            .await
    }

    async fn oldest(
        &self,
        connection: &mut PgConnection,
        on_their_way: &OnTheirWay,
        room: usize,
    ) -> sqlx::Result<Vec<Row>> {
        if room == 0 {
            return Ok(vec![]);
        }
        let keys: Vec<&str> = on_their_way.keys.iter().map(String::as_str).collect();
        sqlx::query_as(AssertSqlSafe(Arc::clone(&self.statements.select)))
            .bind(keys)
            .bind(i64::try_from(room).unwrap_or(i64::MAX))
            .fetch_all(connection)
            .await
    }

    async fn delete(&self, connection: &mut PgConnection, done: &[i64]) -> sqlx::Result<()> {
        if done.is_empty() {
            return Ok(());
        }
        let query = sqlx::query(AssertSqlSafe(Arc::clone(&self.statements.delete))).bind(done);
        query.execute(connection).await?;
        Ok(())
    }
}

/// The messages that the producer has and the broker has not acknowledged: one of each key.
#[derive(Default)]
struct OnTheirWay {
    keys: HashSet<String>,
    sends: JoinSet<Sent>,
}

impl OnTheirWay {
    fn has_room(&self) -> bool {
        self.keys.len() < IN_FLIGHT
    }

    /// Sends a row, unless an older one of its key is on its way.
    fn send<C: ClientContext + 'static>(
        &mut self,
        producer: &Producer<C>,
        row: Row,
        wait_time: &'static str,
    ) {
        if self.keys.insert(row.key.clone()) {
            self.sends.spawn(send(producer.clone(), row, wait_time));
        }
    }

    /// Waits until at least one is done; the ids of those that were acknowledged. Never ends while
    /// there are none.
    async fn next(&mut self) -> Vec<i64> {
        let mut acknowledged = Vec::new();
        let Some(first) = self.sends.join_next().await else {
            return std::future::pending().await;
        };
        let mut next = Some(first);
        while let Some(done) = next {
            match done {
                Ok(sent) => {
                    self.keys.remove(&sent.key);
                    acknowledged.extend(sent.acknowledged.then_some(sent.id));
                }
                Err(error) => {
                    // Which one it was is not known, so all of them start anew.
                    warn!(%error, "a send broke down");
                    *self = Self::default();
                    break;
                }
            }
            next = self.sends.try_join_next();
        }
        acknowledged
    }
}

/// Sends one row, in the trace in which it was appended.
async fn send<C: ClientContext + 'static>(
    producer: Producer<C>,
    row: Row,
    wait_time: &'static str,
) -> Sent {
    let headers: HashMap<String, String> = serde_json::from_str(&row.headers).unwrap_or_default();
    let context = global::get_text_map_propagator(|propagator| {
        propagator.extract_with_context(&Context::new(), &headers)
    });
    let headers = headers
        .iter()
        .fold(OwnedHeaders::new(), |headers, (key, value)| {
            headers.insert(Header {
                key,
                value: Some(value),
            })
        });
    let record = FutureRecord::to(&row.topic)
        .key(&row.key)
        .payload(&row.payload)
        .headers(headers);
    let waited = [KeyValue::new(wait_time, row.waited.max(0.0))];
    let sent = producer
        .send_with(record, NOT_WHEN_FULL, waited)
        .with_context(context)
        .await;
    if let Err(error) = &sent {
        warn!(%error, topic = row.topic, key = row.key, "not sent; the row waits");
        sleep(PAUSE).await;
    }
    Sent {
        id: row.id,
        key: row.key,
        acknowledged: sent.is_ok(),
    }
}

async fn pause(how_long: Duration, shutdown: &CancellationToken) {
    tokio::select! {
        () = sleep(how_long) => {}
        () = shutdown.cancelled() => {}
    }
}
