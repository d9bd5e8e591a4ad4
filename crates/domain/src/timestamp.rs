//! A moment, as precise as the database and the wire are.

use std::{fmt, str::FromStr};

use chrono::{DateTime, SecondsFormat, SubsecRound, Utc};

use crate::InvalidValue;

/// A moment in UTC, in microseconds: what PostgreSQL keeps. Its text is RFC 3339 with six digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp(DateTime<Utc>);

impl Timestamp {
    /// Now.
    #[must_use]
    pub fn now() -> Self {
        Utc::now().into()
    }

    /// The moment as the database takes it.
    #[must_use]
    pub fn as_datetime(self) -> DateTime<Utc> {
        self.0
    }
}

impl From<DateTime<Utc>> for Timestamp {
    fn from(moment: DateTime<Utc>) -> Self {
        Self(moment.trunc_subsecs(6))
    }
}

impl FromStr for Timestamp {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        let parsed = DateTime::parse_from_rfc3339(text);
        let invalid = |_| InvalidValue::new("created_at", "must be a time of RFC 3339");
        Ok(parsed.map_err(invalid)?.to_utc().into())
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.to_rfc3339_opts(SecondsFormat::Micros, true))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts() {
        for (text, expected) in [
            ("2026-11-22T10:00:00Z", Some("2026-11-22T10:00:00.000000Z")),
            (
                "2026-11-22T10:00:00.123456789Z",
                Some("2026-11-22T10:00:00.123456Z"),
            ),
            (
                "2026-11-22T10:00:00+02:00",
                Some("2026-11-22T08:00:00.000000Z"),
            ),
            ("2026-11-22", None),
            ("2026-13-22T10:00:00Z", None),
            ("", None),
        ] {
            let parsed = text.parse::<Timestamp>().ok();
            let shown = parsed.map(|moment| moment.to_string());
            assert_eq!(shown.as_deref(), expected, "{text:?}");
        }
    }
}
