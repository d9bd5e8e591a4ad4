//! Many messages at once, those of one key one after the other.
//!
//! Each key that has messages in hand has a lane. The first message of a lane is ready to be
//! handled, the others wait behind it; lanes do not wait for each other. A message without a key has
//! a lane to itself: nobody asked for its order.
//!
//! Workers handle what is ready. Each is a task that goes on as long as there is something, so that
//! under load a message costs no task of its own; there are never more of them than messages may be
//! handled at once.

use std::{
    collections::{HashMap, VecDeque, hash_map::Entry},
    hash::{BuildHasher, RandomState},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use rdkafka::message::{Message, OwnedMessage};
use tokio::{
    sync::mpsc,
    task::{JoinSet, coop::consume_budget},
};
use tracing::error;

use crate::{
    Handler,
    attempts::{Attempts, Outcome},
    ledger::{Ledger, Ticket},
};

/// A message in hand.
#[derive(Debug)]
pub(crate) struct Taken {
    pub(crate) ticket: Ticket,
    pub(crate) message: OwnedMessage,
}

/// Handles what comes through `messages`, until nobody sends any more and all is done.
pub(super) async fn run<H: Handler>(
    mut messages: mpsc::Receiver<Vec<Taken>>,
    attempts: Attempts<H>,
    ledger: Arc<Ledger>,
    concurrency: usize,
) {
    let shared = Arc::new(Shared {
        attempts,
        ledger,
        lanes: Mutex::new(Lanes::new(concurrency)),
    });
    let mut workers = JoinSet::new();
    let hashes = RandomState::new();
    while let Some(burst) = messages.recv().await {
        while let Some(ended) = workers.try_join_next() {
            if let Err(error) = ended {
                error!(%error, "a worker broke down");
            }
        }
        for taken in burst {
            let key = taken.message.key();
            let lane = key.map(|key| hashes.hash_one((taken.message.partition(), key)));
            if shared.lanes().enter(lane, taken) {
                workers.spawn(Arc::clone(&shared).work());
            }
        }
    }
    // What still runs has been waited for as long as there was time; its partition is gone.
    workers.shutdown().await;
}

/// What the workers share.
#[derive(Debug)]
struct Shared<H> {
    attempts: Attempts<H>,
    ledger: Arc<Ledger>,
    lanes: Mutex<Lanes<Taken>>,
}

impl<H: Handler> Shared<H> {
    async fn work(self: Arc<Self>) {
        let mut next = self.lanes().next();
        while let Some((lane, taken)) = next {
            if let Some(draining) = self.ledger.start(taken.ticket) {
                match self.attempts.deliver(&taken.message, &draining).await {
                    Outcome::Done => self.ledger.finish(taken.ticket),
                    Outcome::Abandoned => self.ledger.abandon(taken.ticket),
                }
            }
            // Handlers that have nothing to wait for would keep all other tasks waiting.
            consume_budget().await;
            let mut lanes = self.lanes();
            lanes.leave(lane);
            next = lanes.next();
        }
    }

    fn lanes(&self) -> MutexGuard<'_, Lanes<Taken>> {
        // Nothing panics while it is held, so a poisoned lock would guard a sound state.
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The hash of partition and key. Should two keys have the same, they wait for each other, no more.
type Lane = u64;

/// What is ready, what waits behind another message of its key, and how many are at work.
#[derive(Debug)]
struct Lanes<T> {
    ready: VecDeque<(Option<Lane>, T)>,
    behind: HashMap<Lane, VecDeque<T>>,
    workers: usize,
    most_workers: usize,
}

impl<T> Lanes<T> {
    fn new(most_workers: usize) -> Self {
        Self {
            ready: VecDeque::new(),
            behind: HashMap::new(),
            workers: 0,
            most_workers,
        }
    }

    /// Adds a message to the end of its lane. Says whether another worker is to be started for it,
    /// and counts that one as at work.
    fn enter(&mut self, lane: Option<Lane>, message: T) -> bool {
        if let Some(lane) = lane {
            match self.behind.entry(lane) {
                Entry::Occupied(waiting) => {
                    waiting.into_mut().push_back(message);
                    return false;
                }
                Entry::Vacant(empty) => {
                    empty.insert(VecDeque::new());
                }
            }
        }
        self.ready.push_back((lane, message));
        let wanted = self.workers < self.most_workers;
        self.workers += usize::from(wanted);
        wanted
    }

    /// What a worker handles next. None ends its work.
    fn next(&mut self) -> Option<(Option<Lane>, T)> {
        let next = self.ready.pop_front();
        self.workers -= usize::from(next.is_none());
        next
    }

    /// The first message of the lane is done: the one behind it is ready.
    fn leave(&mut self, lane: Option<Lane>) {
        let Some(lane) = lane else { return };
        let behind = self.behind.get_mut(&lane).and_then(VecDeque::pop_front);
        match behind {
            Some(message) => self.ready.push_back((Some(lane), message)),
            None => {
                self.behind.remove(&lane);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Lanes;

    #[test]
    fn those_of_one_key_wait_for_each_other_and_for_nobody_else() {
        let mut lanes = Lanes::new(9);
        for (lane, message) in [
            (Some(1), "a"),
            (Some(1), "b"),
            (Some(2), "c"),
            (None, "d"),
            (None, "e"),
        ] {
            lanes.enter(lane, message);
        }
        let mut ready = || std::iter::from_fn(|| lanes.ready.pop_front()).collect::<Vec<_>>();
        assert_eq!(
            ready(),
            [(Some(1), "a"), (Some(2), "c"), (None, "d"), (None, "e")]
        );
        lanes.leave(Some(2));
        assert_eq!(lanes.ready, []);
        lanes.leave(Some(1));
        assert_eq!(lanes.ready, [(Some(1), "b")]);
        lanes.leave(Some(1));
        assert!(lanes.behind.is_empty(), "a lane ends with its last message");
    }

    #[test]
    fn workers_are_as_many_as_wanted_up_to_the_bound_and_end_when_nothing_is_ready() {
        let mut lanes = Lanes::new(2);
        let wanted: Vec<_> = (0..3).map(|message| lanes.enter(None, message)).collect();
        assert_eq!(wanted, [true, true, false]);
        let handled: Vec<_> = std::iter::from_fn(|| lanes.next()).collect();
        assert_eq!(handled, [(None, 0), (None, 1), (None, 2)]);
        assert!(lanes.enter(None, 3), "one has ended");
        assert!(!lanes.enter(None, 4), "the other has not");
    }
}
