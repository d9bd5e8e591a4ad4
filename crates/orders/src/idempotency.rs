//! Placing an order once, however often a client asks, by the key that it sends along.
//!
//! The header is `Idempotency-Key` (draft-ietf-httpapi-idempotency-key-header). A key is written in
//! the transaction of the order that it places, so a crash leaves both or neither. The same key with
//! the same order is answered with what it has placed; with another order it is refused. While the
//! first request is under way, a second one waits on the key's row, for two seconds at most.
//!
//! Only a 201 is kept: a request that was refused has placed nothing, and may be corrected under its
//! key.

use std::{fmt, str::FromStr, time::Duration};

use domain::InvalidValue;
use telemetry::sql::Database;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::store;

/// How long a request waits for another one with its key.
pub(crate) const PATIENCE: Duration = Duration::from_secs(2);
/// How often to delete expired keys.
const CLEAN_EVERY: Duration = Duration::from_secs(60);

/// A client's key: 1 to 255 visible ASCII characters.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct IdempotencyKey(String);

impl IdempotencyKey {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for IdempotencyKey {
    type Err = InvalidValue;

    /// Reads the header's value: bare, or in quotes, as the draft has it.
    fn from_str(value: &str) -> Result<Self, InvalidValue> {
        let quoted = value
            .strip_prefix('"')
            .and_then(|rest| rest.strip_suffix('"'));
        let key = quoted.unwrap_or(value);
        let is_visible = key.bytes().all(|byte| byte.is_ascii_graphic());
        if is_visible && (1..=255).contains(&key.len()) {
            Ok(Self(key.to_owned()))
        } else {
            Err(InvalidValue {
                field: "Idempotency-Key".to_owned(),
                rule: "must have 1 to 255 visible ASCII characters",
            })
        }
    }
}

/// Not shown: it is a client's.
impl fmt::Debug for IdempotencyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IdempotencyKey").finish_non_exhaustive()
    }
}

/// Deletes keys older than `lifetime`, once a minute, until `shutdown` is cancelled.
pub async fn forget_expired_keys(
    database: Database,
    lifetime: Duration,
    shutdown: CancellationToken,
) {
    let mut interval = tokio::time::interval(CLEAN_EVERY);
    let clean = async {
        loop {
            interval.tick().await;
            delete_expired_keys(&database, lifetime).await;
        }
    };
    tokio::select! {
        () = clean => {}
        () = shutdown.cancelled() => {}
    }
}

async fn delete_expired_keys(database: &Database, lifetime: Duration) {
    match store::delete_keys(database, lifetime).await {
        Ok(0) => {}
        Ok(count) => info!(count, "idempotency keys have expired"),
        Err(error) => warn!(%error, "expired idempotency keys could not be deleted"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys() {
        let longest = "x".repeat(255);
        for (value, expected) in [
            ("a", Some("a")),
            ("\"a\"", Some("a")),
            (
                "8e03978e-40d5-43dd-bc93-6894a57f9324",
                Some("8e03978e-40d5-43dd-bc93-6894a57f9324"),
            ),
            (&longest, Some(longest.as_str())),
            (&format!("\"{longest}\""), Some(longest.as_str())),
            (&"x".repeat(256), None),
            ("", None),
            ("\"\"", None),
            ("a b", None),
            ("a\tb", None),
            ("ä", None),
        ] {
            let key = value.parse::<IdempotencyKey>().ok();
            assert_eq!(
                key.as_ref().map(IdempotencyKey::as_str),
                expected,
                "{value:?}"
            );
        }
    }
}
