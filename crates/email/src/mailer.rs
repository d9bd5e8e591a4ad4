//! One mail for each order and kind, though the request for it may come many times.
//!
//! Three steps, each committed before the next begins:
//! 1. claim the mail: a row (order, kind), `sending` since now;
//! 2. send it;
//! 3. mark the row `sent`.
//!
//! A repeated request finds the row. `sent`: there is nothing to do. `sending`: another request is sending the mail, so
//! the answer is 503 with the code `busy`. A claim that is older than 30 seconds is taken over.
//!
//! **A mail is sent twice** if its claim is taken over after the mail server got it and before the row said so:
//! - the process dies between step 2 and step 3;
//! - the process is frozen there (SIGSTOP, a paused machine) for the rest of the claim's 30 seconds;
//! - the answer of the mail server, or of the database in step 3, is lost.
//!
//! Marking first would only turn the doubled mail into a lost one. No system closes this window without help from the
//! mail server, that is, one which itself drops the second mail with the same id.
//!
//! The simulated mail server keeps its mail in the same database. That is for tests to see what was
//! sent; no transaction spans it and the claim, because with a real one none could.

use std::time::Duration;

use domain::{CustomerId, MailKind, OrderId, attributes::ORDER_ID};
use service::work_on;
use telemetry::sql::Database;
use tokio::{
    task::JoinError,
    time::{Instant, sleep},
};
use tokio_util::task::TaskTracker;
use tracing::{Instrument, warn};

use crate::{
    Delay,
    store::{self, Claim},
};

/// How long a claim keeps others from sending the same mail.
pub const CLAIM_LIFETIME: Duration = Duration::from_secs(30);

/// Pause between attempts to mark as sent what has been sent.
const MARK_PAUSE: Duration = Duration::from_millis(200);

/// A mail to be sent.
#[derive(Debug, Clone)]
pub struct Mail {
    /// The order it tells of.
    pub order: OrderId,
    /// Who gets it.
    pub customer: CustomerId,
    /// What it says.
    pub kind: MailKind,
}

/// Why it is not known what became of a mail.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// The database failed.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
    /// The task that was sending it ended too early.
    #[error("sending broke off: {0}")]
    BrokeOff(#[from] JoinError),
}

/// The result of a request to send a mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The mail has been sent, now or earlier.
    Sent,
    /// Another request is sending it.
    BeingSent,
}

/// Sends mail, each in a task of its own. Clones share these tasks.
#[derive(Debug, Clone)]
pub struct Mailer {
    database: Database,
    delay: Delay,
    tasks: TaskTracker,
}

impl Mailer {
    /// A mailer whose mail server takes so long for each mail.
    #[must_use]
    pub fn new(database: Database, delay: Delay) -> Self {
        Self {
            database,
            delay,
            tasks: TaskTracker::new(),
        }
    }

    /// Sends a mail unless it was sent before.
    ///
    /// It is done in a task of its own: a client that goes away must not leave a claim behind that
    /// keeps the next one waiting.
    ///
    /// # Errors
    /// See [`SendError`]. Whether the mail was sent is not known then.
    pub async fn send(&self, mail: Mail) -> Result<Outcome, SendError> {
        let mailer = self.clone();
        let task = async move {
            let order = mail.order.to_string();
            work_on(ORDER_ID, order, mailer.send_once(&mail)).await
        };
        Ok(self.tasks.spawn(task.in_current_span()).await??)
    }

    /// Waits until everything begun is done. Nothing may be begun any more.
    pub async fn finish(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }

    async fn send_once(&self, mail: &Mail) -> sqlx::Result<Outcome> {
        let claimed = Instant::now();
        match store::claim(&self.database, mail, CLAIM_LIFETIME).await? {
            Claim::Sent => return Ok(Outcome::Sent),
            Claim::Held => return Ok(Outcome::BeingSent),
            Claim::Ours => {}
        }
        // Neither a connection nor a transaction is held meanwhile.
        sleep(self.delay.draw()).await;
        store::append_to_transport(&self.database, mail).await?;
        self.mark_sent(mail, claimed + CLAIM_LIFETIME).await?;
        Ok(Outcome::Sent)
    }

    /// Marks what is out already. To give up at the first error would be to send it twice, so this
    /// goes on for as long as the claim keeps others away.
    async fn mark_sent(&self, mail: &Mail, until: Instant) -> sqlx::Result<()> {
        loop {
            match store::mark_sent(&self.database, mail).await {
                Err(error) if Instant::now() < until => {
                    warn!(%error, "a mail that was sent is not marked yet");
                    sleep(MARK_PAUSE).await;
                }
                result => return result,
            }
        }
    }
}
