//! What a relay does at the moment.

use std::{fmt, sync::Arc};

/// What the relay of this process does at the moment. Its `Display` is a few words for people.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum RelayStatus {
    /// It is not running: not started yet, or it has ended.
    Stopped,
    /// It has not connected to the database yet.
    Starting,
    /// Another process holds the lock and relays; this one takes over when the lock is free.
    Standby,
    /// This process holds the lock and relays.
    Active,
    /// It cannot relay for this reason, and retries every second.
    Retrying(Arc<str>),
}

impl fmt::Display for RelayStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stopped => f.write_str("stopped"),
            Self::Starting => f.write_str("starting"),
            Self::Standby => f.write_str("standby: another process relays"),
            Self::Active => f.write_str("active"),
            Self::Retrying(reason) => write!(f, "retrying: {reason}"),
        }
    }
}
