//! Quantities and money.

use crate::InvalidValue;

/// How many of an item one line of an order asks for: 1 to 10,000.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Quantity(i64);

impl Quantity {
    /// The number.
    #[must_use]
    pub fn get(self) -> i64 {
        self.0
    }
}

impl TryFrom<i64> for Quantity {
    type Error = InvalidValue;

    fn try_from(number: i64) -> Result<Self, InvalidValue> {
        if (1..=10_000).contains(&number) {
            Ok(Self(number))
        } else {
            Err(InvalidValue::new("quantity", "must be 1 to 10000"))
        }
    }
}

/// An amount of money: integer cents, 0 or more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cents(i64);

impl Cents {
    pub(crate) const ZERO: Self = Self(0);

    /// The number of cents.
    #[must_use]
    pub fn get(self) -> i64 {
        self.0
    }

    /// This price so many times; none if that is more than can be counted.
    pub(crate) fn times(self, quantity: Quantity) -> Option<Self> {
        self.0.checked_mul(quantity.get()).map(Self)
    }

    /// The sum; none if that is more than can be counted.
    pub(crate) fn plus(self, other: Self) -> Option<Self> {
        self.0.checked_add(other.0).map(Self)
    }
}

impl TryFrom<i64> for Cents {
    type Error = InvalidValue;

    fn try_from(number: i64) -> Result<Self, InvalidValue> {
        if number >= 0 {
            Ok(Self(number))
        } else {
            Err(InvalidValue::new("price", "must be 0 or more cents"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities() {
        for (number, valid) in [
            (i64::MIN, false),
            (-1, false),
            (0, false),
            (1, true),
            (10_000, true),
            (10_001, false),
            (i64::MAX, false),
        ] {
            let quantity = Quantity::try_from(number);
            assert_eq!(
                quantity.map(Quantity::get).ok(),
                valid.then_some(number),
                "{number}"
            );
        }
    }

    #[test]
    fn prices() {
        for (number, valid) in [(i64::MIN, false), (-1, false), (0, true), (i64::MAX, true)] {
            let price = Cents::try_from(number);
            assert_eq!(
                price.map(Cents::get).ok(),
                valid.then_some(number),
                "{number}"
            );
        }
    }
}
