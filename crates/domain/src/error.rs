//! A value that breaks a rule.

/// Which value, and which rule. Never the value itself: it came from somebody else, and this goes
/// into answers and logs.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {rule}")]
pub struct InvalidValue {
    /// The field as the sender knows it, such as `items[1].quantity`.
    pub field: String,
    /// What the value must be.
    pub rule: &'static str,
}

impl InvalidValue {
    pub(crate) fn new(field: impl Into<String>, rule: &'static str) -> Self {
        Self {
            field: field.into(),
            rule,
        }
    }

    /// The same, for a value inside of another: `quantity` within `items[1]` is `items[1].quantity`.
    #[must_use]
    pub fn within(self, outer: &str) -> Self {
        Self {
            field: format!("{outer}.{}", self.field),
            rule: self.rule,
        }
    }
}
