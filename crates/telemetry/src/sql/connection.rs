//! Connections that never go back to the pool with a statement unanswered.
//!
//! sqlx gives a connection back when it is dropped, also when the future of a statement was dropped halfway. It then
//! reads what is still to come, in a background task, without a bound. If the server is frozen or cut off:
//! 1. a statement times out, its future is dropped;
//! 2. sqlx's task waits for the answer, and holds the connection's place in the pool;
//! 3. after as many timeouts as there are places, no statement gets a connection any more, until the kernel gives the
//!    connections up, which takes about 15 minutes, or for ever where nothing is left to send.
//!
//! So a connection whose statement has not been answered is closed here, and giving back the others has a bound.

use std::future::Future;
use std::ops::{Deref, DerefMut};
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::{Connection, PgConnection, Postgres};
use tokio::runtime::Handle;
use tokio::time::timeout;

/// How long giving back may take: sqlx asks the server once more whether it answers.
const GIVE_BACK: Duration = Duration::from_secs(1);

/// A connection of the pool. Dropped while a statement has not been answered, it is closed; otherwise it goes back,
/// after a ROLLBACK if a transaction is open.
#[derive(Debug)]
pub struct PooledConnection {
    lease: Lease,
    pub(super) in_transaction: bool,
}

/// An open transaction, which is rolled back when it is dropped.
#[derive(Debug)]
pub struct Transaction(pub(super) PooledConnection);

/// A connection that is closed when it is dropped, unless it was given back. Empty only after that.
#[derive(Debug)]
struct Lease(Option<PoolConnection<Postgres>>);

impl PooledConnection {
    pub(super) fn new(connection: PoolConnection<Postgres>) -> Self {
        Self {
            lease: Lease(Some(connection)),
            in_transaction: false,
        }
    }
}

impl Drop for PooledConnection {
    fn drop(&mut self) {
        if is_waiting_for_an_answer(&mut self.lease) {
            return;
        }
        if let Ok(runtime) = Handle::try_current() {
            let give_back = Lease(self.lease.0.take()).give_back(self.in_transaction);
            runtime.spawn(timeout(GIVE_BACK, give_back));
        }
    }
}

/// `flush` reads the answers that are still to come. It is ready at once if there are none.
fn is_waiting_for_an_answer(connection: &mut PgConnection) -> bool {
    let mut no_waker = Context::from_waker(Waker::noop());
    let flushed = pin!(connection.flush()).poll(&mut no_waker);
    !matches!(flushed, Poll::Ready(Ok(())))
}

impl Lease {
    /// If this future is dropped, the connection is closed.
    async fn give_back(mut self, in_transaction: bool) {
        if in_transaction && sqlx::raw_sql("ROLLBACK").execute(&mut *self).await.is_err() {
            return;
        }
        let given_back = self
            .0
            .take()
            .map(|mut connection| connection.return_to_pool());
        if let Some(given_back) = given_back {
            given_back.await;
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        // Without a word to the server, which may not read it: the socket is closed.
        drop(self.0.take().map(PoolConnection::detach));
    }
}

impl Deref for Lease {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        self.0.as_ref().expect("there until it is given back")
    }
}

impl DerefMut for Lease {
    fn deref_mut(&mut self) -> &mut PgConnection {
        self.0.as_mut().expect("there until it is given back")
    }
}

impl Deref for PooledConnection {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.lease
    }
}

impl DerefMut for PooledConnection {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.lease
    }
}

impl Deref for Transaction {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.0
    }
}

impl DerefMut for Transaction {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.0
    }
}
