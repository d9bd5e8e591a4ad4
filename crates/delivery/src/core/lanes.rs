//! Order by key: which messages may be handled, and which wait behind another message of their key.
//!
//! Each key that has messages in hand has a lane. The first message of a lane may be handled, the others wait behind
//! it; lanes do not wait for each other. A message without a key has no lane and may be handled at once.

use std::collections::{BTreeMap, VecDeque};

use super::{Id, Place};

/// The hash of a key, in one partition. Should two keys have the same hash, they wait for each other and no more.
pub(crate) type Lane = (Place, u64);

/// Messages behind the first one of each lane.
#[derive(Debug, Default)]
pub(crate) struct Lanes {
    behind: BTreeMap<Lane, VecDeque<Id>>,
}

impl Lanes {
    /// Adds a message to the end of its lane. True if it is the first, so that it may be handled now.
    pub(crate) fn enter(&mut self, lane: Lane, message: Id) -> bool {
        match self.behind.get_mut(&lane) {
            Some(behind) => {
                behind.push_back(message);
                false
            }
            None => {
                self.behind.insert(lane, VecDeque::new());
                true
            }
        }
    }

    /// The first message of the lane is out of hand; the one behind it, if any, may be handled now.
    pub(crate) fn leave(&mut self, lane: &Lane) -> Option<Id> {
        let behind = self.behind.get_mut(lane)?;
        let next = behind.pop_front();
        if next.is_none() {
            self.behind.remove(lane);
        }
        next
    }

    /// Takes a message that waits behind another one out of its lane.
    pub(crate) fn remove(&mut self, lane: &Lane, message: Id) {
        if let Some(behind) = self.behind.get_mut(lane) {
            behind.retain(|waiting| *waiting != message);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{Lanes, Place};

    #[test]
    fn messages_of_one_key_wait_for_each_other_and_for_no_other_key() {
        let mut lanes = Lanes::default();
        let place = Place::new(Arc::from("orders"), 0);
        let (a, b) = ((place.clone(), 1), (place, 2));
        assert!(lanes.enter(a.clone(), 1));
        assert!(!lanes.enter(a.clone(), 2));
        assert!(lanes.enter(b.clone(), 3));
        assert!(!lanes.enter(a.clone(), 4));
        assert!(!lanes.enter(a.clone(), 5));
        assert_eq!(lanes.leave(&b), None);
        lanes.remove(&a, 4);
        assert_eq!(lanes.leave(&a), Some(2));
        assert_eq!(lanes.leave(&a), Some(5));
        assert_eq!(lanes.leave(&a), None);
        assert!(lanes.behind.is_empty(), "a lane ends with its last message");
    }
}
