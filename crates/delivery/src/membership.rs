//! How a consumer gets on, as a readiness check sees it.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use rdkafka::message::OwnedMessage;

use crate::{core::Core, now};

/// What the loop and the readiness checks share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) core: Mutex<Core<Arc<OwnedMessage>>>,
    /// Whether the group counts this consumer as a member, with partitions or without.
    pub(crate) is_member: AtomicBool,
}

/// A consumer's place in its group, and what holds it up. Clones see the same consumer.
#[derive(Debug, Clone)]
pub struct Membership(pub(crate) Arc<Shared>);

impl Membership {
    /// Whether the consumer is a member of its group. A standby member, for which no partition is left, is one as well.
    #[must_use]
    pub fn is_member(&self) -> bool {
        self.0.is_member.load(Relaxed)
    }

    /// How many partitions the group has assigned to this consumer.
    #[must_use]
    pub fn partitions(&self) -> usize {
        self.lock(Core::assigned_count)
    }

    /// What stands still, one sentence each; empty if all is well. A consumer that waits for a dependency does not stand
    /// still: waiting is its job.
    ///
    /// A partition stands still if it has unread messages and room for them, and nothing was received from it for 30 s;
    /// if dead letters cannot be written; or if the brake for dead letters is on.
    #[must_use]
    pub fn standstills(&self) -> Vec<String> {
        let standstill = self.lock(|core| core.standstill(now()));
        let stalled = standstill
            .stalled
            .into_iter()
            .map(|(place, error)| match error {
                Some(error) => format!("{place:?} has unread messages, but reading fails: {error}"),
                None => format!("{place:?} has unread messages, but none has come for 30 s"),
            });
        let refused = standstill.no_letters.into_iter();
        let refused = refused.map(|(place, reason)| format!("{place:?} is paused: {reason}"));
        let brake = "too many messages became dead letters: nothing is handled until a restart";
        let brake = standstill.brake.then(|| brake.to_owned());
        stalled.chain(refused).chain(brake).collect()
    }

    /// How many messages wait for a retry, by the failure of the last try.
    #[must_use]
    pub fn waiting(&self) -> BTreeMap<String, usize> {
        self.lock(Core::waiting)
    }

    fn lock<T>(&self, look: impl FnOnce(&Core<Arc<OwnedMessage>>) -> T) -> T {
        look(&self.0.core.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
