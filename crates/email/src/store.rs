//! All of the email service's SQL.

use std::time::Duration;

use telemetry::sql::{Database, Statement};

use crate::mailer::Mail;

/// Makes a claim, or takes over one that is too old. No row: it is not ours.
///
/// Of two that come at once the second waits on the key, and then finds a fresh claim.
const CLAIM_MAIL: Statement<'_> = Statement {
    summary: "INSERT email.mails",
    text: "INSERT INTO email.mails AS claim (order_id, kind, state, claimed_at)
           VALUES ($1, $2, 'sending', now())
           ON CONFLICT (order_id, kind) DO UPDATE SET claimed_at = now()
           WHERE claim.state = 'sending' AND claim.claimed_at < now() - $3",
};

const FIND_STATE: Statement<'_> = Statement {
    summary: "SELECT email.mails",
    text: "SELECT state FROM email.mails WHERE order_id = $1 AND kind = $2",
};

const MARK_SENT: Statement<'_> = Statement {
    summary: "UPDATE email.mails",
    text: "UPDATE email.mails SET state = 'sent' WHERE order_id = $1 AND kind = $2",
};

const APPEND_TO_TRANSPORT: Statement<'_> = Statement {
    summary: "INSERT email.transport",
    text: "INSERT INTO email.transport (order_id, customer_id, kind, sent_at)
           VALUES ($1, $2, $3, now())",
};

/// Whose turn it is to send a mail.
#[derive(Debug)]
pub(crate) enum Claim {
    /// Ours.
    Ours,
    /// Somebody else's, who may be sending it now.
    Held,
    /// Nobody's: it has been sent.
    Sent,
}

/// Claims a mail, also from whoever has claimed it more than `lifetime` ago.
pub(crate) async fn claim(db: &Database, mail: &Mail, lifetime: Duration) -> sqlx::Result<Claim> {
    let query = sqlx::query(CLAIM_MAIL.text)
        .bind(mail.order.as_uuid())
        .bind(mail.kind.as_str())
        .bind(lifetime);
    let claimed = async { query.execute(&mut *db.acquire().await?).await };
    let claimed = db.run(&CLAIM_MAIL, claimed).await?;
    if claimed.rows_affected() == 1 {
        return Ok(Claim::Ours);
    }
    match find_state(db, mail).await?.as_str() {
        "sent" => Ok(Claim::Sent),
        _ => Ok(Claim::Held),
    }
}

/// Writes down that a mail has been sent.
pub(crate) async fn mark_sent(db: &Database, mail: &Mail) -> sqlx::Result<()> {
    let query = sqlx::query(MARK_SENT.text)
        .bind(mail.order.as_uuid())
        .bind(mail.kind.as_str());
    let marked = async { query.execute(&mut *db.acquire().await?).await };
    db.run(&MARK_SENT, marked).await?;
    Ok(())
}

/// Hands a mail to the simulated mail server, which takes every mail as often as it is given.
pub(crate) async fn append_to_transport(db: &Database, mail: &Mail) -> sqlx::Result<()> {
    let query = sqlx::query(APPEND_TO_TRANSPORT.text)
        .bind(mail.order.as_uuid())
        .bind(mail.customer.as_str())
        .bind(mail.kind.as_str());
    let appended = async { query.execute(&mut *db.acquire().await?).await };
    db.run(&APPEND_TO_TRANSPORT, appended).await?;
    Ok(())
}

async fn find_state(db: &Database, mail: &Mail) -> sqlx::Result<String> {
    let query = sqlx::query_scalar(FIND_STATE.text)
        .bind(mail.order.as_uuid())
        .bind(mail.kind.as_str());
    let state = async { query.fetch_one(&mut *db.acquire().await?).await };
    db.run(&FIND_STATE, state).await
}
