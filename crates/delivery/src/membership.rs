//! How a consumer fares, as a readiness check sees it.

use std::{collections::BTreeMap, sync::Arc};

use crate::{ledger::Ledger, waiting::Waiting};

/// A consumer's place in its group, and what holds it up. Clones see the same consumer.
#[derive(Debug, Clone)]
pub struct Membership {
    ledger: Arc<Ledger>,
    waiting: Waiting,
}

impl Membership {
    pub(super) fn new(ledger: Arc<Ledger>, waiting: Waiting) -> Self {
        Self { ledger, waiting }
    }

    /// Whether the group has assigned partitions to this consumer.
    #[must_use]
    pub fn is_assigned(&self) -> bool {
        self.ledger.is_assigned()
    }

    /// How many messages wait for another attempt, by the failure of the last one.
    #[must_use]
    pub fn waiting(&self) -> BTreeMap<String, usize> {
        self.waiting.all()
    }
}
