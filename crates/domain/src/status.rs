//! What can become of an order, and which mails tell of it.

use std::{fmt, str::FromStr};

use crate::InvalidValue;

/// What has become of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OrderStatus {
    /// It is accepted, and nothing is decided.
    Pending,
    /// Its stock is reserved.
    Confirmed,
    /// It is on its way.
    Shipped,
    /// It will not be.
    Cancelled,
}

impl OrderStatus {
    /// Every status.
    pub const ALL: [Self; 4] = [
        Self::Pending,
        Self::Confirmed,
        Self::Shipped,
        Self::Cancelled,
    ];

    /// The status as it is stored and sent.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Confirmed => "confirmed",
            Self::Shipped => "shipped",
            Self::Cancelled => "cancelled",
        }
    }

    /// Whether an order may go from this status to that one.
    #[must_use]
    pub fn can_become(self, next: Self) -> bool {
        matches!(
            (self, next),
            (Self::Pending, Self::Confirmed | Self::Cancelled) | (Self::Confirmed, Self::Shipped)
        )
    }
}

impl FromStr for OrderStatus {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        let found = Self::ALL.into_iter().find(|status| status.as_str() == text);
        found.ok_or_else(|| {
            InvalidValue::new("status", "must be pending, confirmed, shipped or cancelled")
        })
    }
}

impl fmt::Display for OrderStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Which mail a customer gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MailKind {
    /// The order is confirmed.
    Confirmation,
    /// The order is cancelled.
    Cancellation,
}

impl MailKind {
    /// The kind as it is stored and sent.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Confirmation => "confirmation",
            Self::Cancellation => "cancellation",
        }
    }
}

impl FromStr for MailKind {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        match text {
            "confirmation" => Ok(Self::Confirmation),
            "cancellation" => Ok(Self::Cancellation),
            _ => Err(InvalidValue::new(
                "kind",
                "must be confirmation or cancellation",
            )),
        }
    }
}

impl fmt::Display for MailKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transitions() {
        use OrderStatus::{Cancelled, Confirmed, Pending, Shipped};
        let allowed = [
            (Pending, Confirmed),
            (Pending, Cancelled),
            (Confirmed, Shipped),
        ];
        for from in OrderStatus::ALL {
            for to in OrderStatus::ALL {
                assert_eq!(
                    from.can_become(to),
                    allowed.contains(&(from, to)),
                    "{from} → {to}"
                );
            }
        }
    }

    #[test]
    fn words() {
        for status in OrderStatus::ALL {
            assert_eq!(status.to_string().parse(), Ok(status));
        }
        for kind in [MailKind::Confirmation, MailKind::Cancellation] {
            assert_eq!(kind.to_string().parse(), Ok(kind));
        }
        for text in ["", "Pending", "pending ", "done", "confirmation"] {
            assert!(text.parse::<OrderStatus>().is_err(), "{text:?}");
        }
        for text in ["", "Confirmation", "pending"] {
            assert!(text.parse::<MailKind>().is_err(), "{text:?}");
        }
    }
}
