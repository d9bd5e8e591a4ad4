//! The id below which no row can be, so that no statement reads what lies there.
//!
//! Deleted rows stay in the table and its index until no transaction can see them any more. While a backup runs, which
//! is one long transaction, every row that was sent in the meantime stays: a search from the lowest id would read all
//! of them, ten times a second.
//!
//! The highest id that was sent is no such floor, since ids are not committed in order:
//!
//! 1. Transaction A inserts a row and gets id 5.
//! 2. Transaction B inserts a row, gets id 6, and commits.
//! 3. The relay sends and deletes 6. A floor of 6 would hide 5.
//! 4. A commits.
//!
//! But a transaction locks the table against schema changes before it draws an id, and holds that lock until it ends.
//! So the floor rises in steps: note the highest id seen (6), then the transactions that hold such a lock (A). When all
//! of these have ended, no id up to 6 can appear any more, and the lowest that is there is the floor. Comparing
//! transaction ids with `pg_snapshot_xmin` is the usual way; it would have to wait for every transaction of the server
//! that writes anything, and it misses one that has drawn an id and not yet got a transaction id.
//!
//! All this assumes that a session draws an id when it inserts the row. With `CACHE` above 1 the sequence gives a
//! session ids in advance. Therefore the floor falls to zero once a minute: a row below it is late, never lost.

use std::time::Duration;

use tokio::time::Instant;

use crate::{Error, session::Session};

const STEP: Duration = Duration::from_millis(250);
const FALL: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub(crate) struct Floor {
    id: i64,
    highest_seen: i64,
    /// An id, and the transactions that may still insert rows up to it.
    next: Option<(i64, Vec<String>)>,
    stepped: Instant,
    fell: Instant,
}

impl Floor {
    pub(crate) fn new() -> Self {
        Self {
            id: 0,
            highest_seen: 0,
            next: None,
            stepped: Instant::now(),
            fell: Instant::now(),
        }
    }

    /// Every row has an id above this one.
    pub(crate) fn id(&self) -> i64 {
        self.id
    }

    /// Notes that a row of this id was there.
    pub(crate) fn saw(&mut self, id: i64) {
        self.highest_seen = self.highest_seen.max(id);
    }

    /// Raises the floor where that is possible, four times a second at most.
    pub(crate) async fn rise(&mut self, session: &mut Session) -> Result<(), Error> {
        if self.fell.elapsed() > FALL {
            *self = Self {
                highest_seen: self.highest_seen,
                ..Self::new()
            };
        }
        if self.stepped.elapsed() < STEP || self.id == self.highest_seen {
            return Ok(());
        }
        self.stepped = Instant::now();
        self.step(session).await
    }

    async fn step(&mut self, session: &mut Session) -> Result<(), Error> {
        let writers = session.writers().await?;
        if let Some((id, before)) = &self.next {
            if before.iter().any(|writer| writers.contains(writer)) {
                return Ok(());
            }
            // A statement of its own: its snapshot is later than the look at the locks.
            let lowest = session.lowest(self.id, *id).await?;
            self.id = lowest.map_or(*id, |lowest| lowest - 1);
        }
        self.next = Some((self.highest_seen, writers));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use sqlx::{PgPool, Postgres, Transaction};

    use super::*;
    use crate::session::Statements;

    async fn insert(database: &PgPool) -> (Transaction<'static, Postgres>, i64) {
        let mut transaction = database.begin().await.unwrap();
        let insert = "INSERT INTO orders.outbox (topic, key, payload, headers)
                      VALUES ('t', 'k', '', '{}') RETURNING id";
        let id = sqlx::query_scalar(insert);
        let id = id.fetch_one(&mut *transaction).await.unwrap();
        (transaction, id)
    }

    #[tokio::test]
    async fn the_floor_stays_below_ids_that_are_not_committed() {
        let test = orderflow::testing::database().await;
        let database = PgPool::connect(&test.admin_url()).await.unwrap();
        let statements = Arc::new(Statements::of("orders.outbox"));
        let options = test.url("orders").parse().unwrap();
        let mut session = Session::connect(options, statements).await.unwrap();
        let mut floor = Floor::new();

        let (open, early) = insert(&database).await;
        let (committed, late) = insert(&database).await;
        committed.commit().await.unwrap();
        floor.saw(late);
        for _ in 0..3 {
            floor.step(&mut session).await.unwrap();
            assert!(floor.id() < early, "{floor:?}");
        }
        session.delete(&[late]).await.unwrap();
        open.commit().await.unwrap();
        // Committed and not sent yet.
        for _ in 0..3 {
            floor.step(&mut session).await.unwrap();
            assert!(floor.id() < early, "{floor:?}");
        }
        session.delete(&[early]).await.unwrap();
        floor.step(&mut session).await.unwrap();
        assert_eq!(floor.id(), late);
    }
}
