//! The names of orders, customers and items.

use std::{fmt, str::FromStr};

use uuid::Uuid;

use crate::InvalidValue;

/// An order's id: a UUID of version 7, so that ids sort by the time they were made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OrderId(Uuid);

impl OrderId {
    /// A new id, unlike any other.
    #[must_use]
    pub fn generate() -> Self {
        Self(Uuid::now_v7())
    }

    /// An id that the database kept, and that is trusted therefore.
    #[must_use]
    pub fn from_uuid(uuid: Uuid) -> Self {
        Self(uuid)
    }

    /// The id as the database keeps it.
    #[must_use]
    pub fn as_uuid(self) -> Uuid {
        self.0
    }
}

impl FromStr for OrderId {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        let invalid = |rule| InvalidValue::new("order_id", rule);
        let uuid = Uuid::try_parse(text).map_err(|_| invalid("must be a UUID"))?;
        if uuid.get_version_num() == 7 {
            Ok(Self(uuid))
        } else {
            Err(invalid("must be a UUID of version 7"))
        }
    }
}

impl fmt::Display for OrderId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Who ordered: 1 to 128 characters, none of them a control character, no space around them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CustomerId(String);

impl CustomerId {
    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for CustomerId {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        let trimmed = text.trim();
        if !(1..=128).contains(&trimmed.chars().count()) {
            return Err(InvalidValue::new(
                "customer_id",
                "must have 1 to 128 characters",
            ));
        }
        if trimmed.chars().any(char::is_control) {
            return Err(InvalidValue::new(
                "customer_id",
                "must have no control characters",
            ));
        }
        Ok(Self(trimmed.to_owned()))
    }
}

impl fmt::Display for CustomerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The name of an item: 1 to 64 of `A-Z`, `a-z`, `0-9`, `_` and `-`. There may be no such item.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ItemId(String);

impl ItemId {
    /// The id as text. It is safe in a URL's path as it is.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ItemId {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        if (1..=64).contains(&text.len()) && text.bytes().all(allowed) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidValue::new(
                "item_id",
                "must have 1 to 64 letters, digits, '_' or '-'",
            ))
        }
    }
}

impl fmt::Display for ItemId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_ids() {
        let id = OrderId::generate();
        assert_eq!(id.as_uuid().get_version_num(), 7);
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!(OrderId::from_uuid(id.as_uuid()), id);

        let (uuid, version) = (
            "order_id: must be a UUID",
            "order_id: must be a UUID of version 7",
        );
        for (text, expected) in [
            ("0190e6a0-0000-7000-8000-000000000001", None),
            ("0190E6A0-0000-7000-8000-00000000000A", None),
            ("", Some(uuid)),
            ("1", Some(uuid)),
            ("ITEM-001", Some(uuid)),
            ("0190e6a0-0000-7000-8000-00000000000", Some(uuid)),
            ("0190e6a0-0000-7000-8000-0000000000011", Some(uuid)),
            ("0190e6a0-0000-7000-8000-00000000000g", Some(uuid)),
            (" 0190e6a0-0000-7000-8000-000000000001", Some(uuid)),
            ("00000000-0000-0000-0000-000000000000", Some(version)),
            ("9f0c2d5e-0000-4000-8000-000000000001", Some(version)),
            ("ffffffff-ffff-ffff-ffff-ffffffffffff", Some(version)),
        ] {
            let error = text.parse::<OrderId>().err();
            let error = error.map(|error| error.to_string());
            assert_eq!(error.as_deref(), expected, "{text:?}");
        }
    }

    #[test]
    fn later_order_ids_come_later() {
        let ids: Vec<OrderId> = (0..1_000).map(|_| OrderId::generate()).collect();
        assert!(ids.is_sorted());
    }

    #[test]
    fn customer_ids() {
        let longest = "ä".repeat(128);
        for (text, expected) in [
            ("a", Some("a")),
            ("  customer 7\t", Some("customer 7")),
            ("\r\na\u{a0}", Some("a")),
            ("a  b", Some("a  b")),
            (&longest, Some(longest.as_str())),
            (&format!(" {longest} "), Some(longest.as_str())),
            (&"ä".repeat(129), None),
            (&"a".repeat(129), None),
            ("", None),
            (" \n ", None),
            ("a\nb", None),
            ("a\u{0}b", None),
            ("a\u{7f}", None),
            ("a\u{85}b", None),
        ] {
            let parsed = text.parse::<CustomerId>().ok();
            assert_eq!(
                parsed.as_ref().map(CustomerId::as_str),
                expected,
                "{text:?}"
            );
        }
    }

    #[test]
    fn item_ids() {
        for (text, valid) in [
            ("ITEM-001", true),
            ("a", true),
            ("_-9", true),
            (&"x".repeat(64), true),
            (&"x".repeat(65), false),
            ("", false),
            ("a b", false),
            ("a/b", false),
            ("..", false),
            ("ä", false),
            ("a\n", false),
        ] {
            assert_eq!(text.parse::<ItemId>().is_ok(), valid, "{text:?}");
        }
    }
}
