//! Sends the rows of an outbox.
//!
//! The guarantee: a row is deleted only after the broker has acknowledged its message, and of one key only one message
//! is in flight at a time, the oldest. So no message is lost, and none overtakes another of its key.
//!
//! One process relays at a time, the one whose [`Session`] holds the lock. While it holds the lock it has a producer of
//! its own. Whenever that ends (the session is lost, the producer has failed, the program ends), the producer is purged
//! and dropped first, so that librdkafka sends nothing any more, and only then is the lock released.
//!
//! A message can arrive twice, and the second time late:
//!
//! - The relay dies after the acknowledgement and before the delete. The next one sends the row again.
//! - The relay is frozen until PostgreSQL ends its session, and wakes. Another relay has sent the rows, but the threads
//!   of librdkafka still send what they had queued, before the relay can purge it. Then the old copy of a key's message
//!   arrives after newer messages of that key.
//!
//! Consumers must expect both. Nothing in here is traced but the `send` itself.

use std::{future::ready, sync::Arc, time::Duration};

use messaging::Producer;
use opentelemetry::Key;
use rdkafka::{
    ClientContext,
    producer::{Producer as _, PurgeConfig},
};
use sqlx::postgres::PgConnectOptions;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::{
    Error, Outbox, RelayStatus,
    floor::Floor,
    in_flight::InFlight,
    session::{Session, Statements},
};

/// How often to poll for rows of other processes, and a relay on standby for the lock.
const POLL: Duration = Duration::from_millis(100);
/// How long to wait after a failure.
const PAUSE: Duration = Duration::from_secs(1);
/// How long librdkafka may take to let go of its messages. It takes milliseconds.
const PURGE: Duration = Duration::from_secs(1);

type MakeProducer<C> =
    dyn Fn() -> Result<Producer<C>, Box<dyn std::error::Error + Send + Sync>> + Send + Sync;

/// Sends the rows of one outbox.
pub struct Relay<C: ClientContext + 'static> {
    outbox: Outbox,
    database: PgConnectOptions,
    make_producer: Box<MakeProducer<C>>,
    statements: Arc<Statements>,
    wait_time: Key,
}

impl<C: ClientContext + 'static> Relay<C> {
    /// A relay that reads from `database`, on a connection of its own, and sends with what `make_producer` returns.
    ///
    /// The function must make a new producer each time: the relay drops one that has failed for good, and one that has
    /// messages in its queue when the lock is lost. It must be idempotent and wait for all replicas
    /// (`enable.idempotence=true`, `acks=all`), and should wait for the broker without limit (`message.timeout.ms=0`):
    /// what is not sent stays a row in any case.
    pub fn new<E>(
        outbox: Outbox,
        database: PgConnectOptions,
        make_producer: impl Fn() -> Result<Producer<C>, E> + Send + Sync + 'static,
    ) -> Self
    where
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        Self {
            statements: Arc::new(Statements::of(&outbox.table)),
            outbox,
            database,
            make_producer: Box::new(move || make_producer().map_err(Into::into)),
            wait_time: Key::from_static_str("outbox.wait_time"),
        }
    }

    /// Names the attribute of the `send` span that says how long the row waited, in seconds. The default is
    /// `outbox.wait_time`.
    #[must_use]
    pub fn with_wait_time_attribute(mut self, name: impl Into<Key>) -> Self {
        self.wait_time = name.into();
        self
    }

    /// Relays until `shutdown` is cancelled. Then it takes no more rows, and waits up to `drain` for the messages in
    /// flight; what is not acknowledged by then stays in the table. Purging the producer takes up to a second more.
    ///
    /// Failures of the database and of the producer are logged and retried every second.
    ///
    /// # Errors
    /// [`Error::NoProducer`], which [is fatal](Error::is_fatal).
    pub async fn run(self, shutdown: CancellationToken, drain: Duration) -> Result<(), Error> {
        let _stopped = Stopped(&self.outbox);
        self.report(RelayStatus::Starting);
        while !shutdown.is_cancelled() {
            match self.hold_the_lock(&shutdown, drain).await {
                Err(error) if error.is_fatal() => return Err(error),
                Err(error) => self.retry_later(&error, &shutdown).await,
                Ok(()) => {}
            }
        }
        Ok(())
    }

    /// Waits for the lock, relays for as long as it is held, purges, and releases it.
    async fn hold_the_lock(
        &self,
        shutdown: &CancellationToken,
        drain: Duration,
    ) -> Result<(), Error> {
        let producer = (self.make_producer)().map_err(Error::NoProducer)?;
        let Some(mut session) = self.lock(shutdown).await else {
            discard(producer).await;
            return Ok(());
        };
        // Declared after the session, so that it is dropped first if the caller drops this future.
        let producer = producer;
        self.report(RelayStatus::Active);
        info!("this process relays the outbox");
        let mut in_flight = InFlight::new(&producer, &self.wait_time);
        let relayed = tokio::select! {
            relayed = self.relay(&mut session, &mut in_flight, shutdown) => relayed,
            () = after(shutdown, drain) => Ok(()),
        };
        if in_flight.len() > 0 {
            info!("{} messages stay in the outbox", in_flight.len());
        }
        drop(in_flight);
        // The order matters: once the lock is released, another relay sends the same rows.
        discard(producer).await;
        drop(session);
        relayed
    }

    /// Connects and waits for the lock, whatever fails meanwhile. `None`: `shutdown` came first.
    async fn lock(&self, shutdown: &CancellationToken) -> Option<Session> {
        let locked = async {
            loop {
                match self.try_lock().await {
                    Ok(session) => return session,
                    Err(error) => self.retry_later(&error, shutdown).await,
                }
            }
        };
        tokio::select! {
            session = locked => Some(session),
            () = shutdown.cancelled() => None,
        }
    }

    async fn try_lock(&self) -> Result<Session, Error> {
        let statements = Arc::clone(&self.statements);
        let mut session = Session::connect(self.database.clone(), statements).await?;
        while !session.try_lock().await? {
            self.report(RelayStatus::Standby);
            sleep(POLL).await;
        }
        Ok(session)
    }

    /// Sends and deletes rows until `shutdown` is cancelled and nothing is in flight any more.
    async fn relay(
        &self,
        session: &mut Session,
        in_flight: &mut InFlight<'_, C>,
        shutdown: &CancellationToken,
    ) -> Result<(), Error> {
        let mut floor = Floor::new();
        loop {
            let ending = shutdown.is_cancelled();
            if ending && in_flight.len() == 0 {
                return Ok(());
            }
            let may_send = !ending && in_flight.room() > 0;
            let more = if may_send {
                floor.rise(session).await?;
                send_oldest(session, in_flight, &mut floor).await?
            } else {
                // Each turn has a statement, so that a lost lock is noticed although there is nothing to read.
                session.ping().await?;
                false
            };
            let acknowledged = tokio::select! {
                biased;
                ids = in_flight.acknowledged() => ids,
                () = ready(()), if more => vec![],
                () = self.outbox.appended.notified(), if may_send => vec![],
                () = shutdown.cancelled(), if !ending => vec![],
                () = sleep(POLL) => vec![],
            };
            session.delete(&acknowledged).await?;
            in_flight.check_producer()?;
        }
    }

    async fn retry_later(&self, error: &Error, shutdown: &CancellationToken) {
        warn!(%error, "the relay retries in {PAUSE:?}; the rows wait");
        self.report(RelayStatus::Retrying(error.to_string().into()));
        tokio::select! {
            () = sleep(PAUSE) => {}
            () = shutdown.cancelled() => {}
        }
    }

    fn report(&self, status: RelayStatus) {
        self.outbox.status.send_replace(status);
    }
}

/// Sends the oldest row of each key that is not in flight, as many as there is room for. True if there may be more: of
/// the rows that were looked at, several had the same key.
async fn send_oldest<C: ClientContext + 'static>(
    session: &mut Session,
    in_flight: &mut InFlight<'_, C>,
    floor: &mut Floor,
) -> Result<bool, Error> {
    let (keys, room) = (in_flight.keys(), in_flight.room());
    let (rows, more) = session.oldest(floor.id(), &keys, room).await?;
    for row in rows {
        floor.saw(row.id);
        in_flight.send(row);
    }
    Ok(more && in_flight.room() > 0)
}

/// Takes back what the producer has not sent, and drops it. On a thread of its own, since librdkafka blocks meanwhile.
async fn discard<C: ClientContext + 'static>(producer: Producer<C>) {
    let purge = tokio::task::spawn_blocking(move || {
        producer
            .client()
            .purge(PurgeConfig::default().queue().inflight());
        drop(producer);
    });
    if timeout(PURGE, purge).await.is_err() {
        warn!("librdkafka did not let go of its messages within {PURGE:?}; some may arrive twice");
    }
}

async fn after(shutdown: &CancellationToken, drain: Duration) {
    shutdown.cancelled().await;
    sleep(drain).await;
}

/// Reports the end of a relay, however it ends.
struct Stopped<'a>(&'a Outbox);

impl Drop for Stopped<'_> {
    fn drop(&mut self) {
        self.0.status.send_replace(RelayStatus::Stopped);
    }
}

impl<C: ClientContext + 'static> std::fmt::Debug for Relay<C> {
    // Without the connection options: one of them is a password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut relay = f.debug_struct("Relay");
        relay.field("outbox", &self.outbox);
        relay.finish_non_exhaustive()
    }
}
