//! A moment, as precise as the database and the wire are.

use std::{fmt, str::FromStr};

use chrono::{DateTime, Datelike, SecondsFormat, SubsecRound, Utc};

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
        let moment = DateTime::parse_from_rfc3339(text).ok();
        let moment = moment.map(|moment| moment.to_utc());
        // RFC 3339 has four digits for the year, and an offset may lead out of them.
        let moment = moment.filter(|moment| (0..=9999).contains(&moment.year()));
        let invalid = || InvalidValue::new("created_at", "must be a time of RFC 3339");
        Ok(moment.ok_or_else(invalid)?.into())
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.to_rfc3339_opts(SecondsFormat::Micros, true))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

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
                "1969-12-31T23:59:59.999999999Z",
                Some("1969-12-31T23:59:59.999999Z"),
            ),
            (
                "2026-11-22T10:00:00+02:00",
                Some("2026-11-22T08:00:00.000000Z"),
            ),
            ("0000-01-01T00:00:00Z", Some("0000-01-01T00:00:00.000000Z")),
            ("9999-12-31T23:59:59Z", Some("9999-12-31T23:59:59.000000Z")),
            ("0000-01-01T00:00:00+00:01", None),
            ("9999-12-31T23:59:59-00:01", None),
            ("2026-11-22", None),
            ("2026-11-22T10:00:00", None),
            ("2026-13-22T10:00:00Z", None),
            ("2026-02-29T10:00:00Z", None),
            ("yesterday", None),
            ("", None),
        ] {
            let parsed = text.parse::<Timestamp>().ok();
            let shown = parsed.map(|moment| moment.to_string());
            assert_eq!(shown.as_deref(), expected, "{text:?}");
        }
    }

    #[test]
    fn now_is_in_microseconds_too() {
        let now = Timestamp::now();
        assert_eq!(now.to_string().parse(), Ok(now));
    }

    proptest! {
        #[test]
        fn a_text_comes_back_as_it_was(micros in -62_167_219_200_000_000_i64..253_402_300_800_000_000) {
            let moment = Timestamp::from(DateTime::from_timestamp_micros(micros).unwrap());
            prop_assert_eq!(moment.to_string().parse(), Ok(moment));
            prop_assert_eq!(moment.as_datetime().timestamp_micros(), micros);
        }

        #[test]
        fn no_text_makes_it_panic(text in "\\PC*") {
            let _ = text.parse::<Timestamp>();
        }
    }
}
