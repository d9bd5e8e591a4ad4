//! Many messages at once, those of one key one after the other.
//!
//! Each key that has messages in hand has a lane. The first message of a lane runs, the others wait
//! behind it; lanes do not wait for each other, but for the bound on how many run at once. A
//! message without a key has a lane to itself: nobody asked for its order.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use rdkafka::message::{Message, OwnedMessage};
use tokio::{
    sync::{Semaphore, mpsc},
    task::JoinSet,
};
use tracing::error;

use super::{
    attempts::{Attempts, Outcome},
    ledger::{Ledger, Ticket},
};
use crate::Handler;

/// A message in hand.
#[derive(Debug)]
pub(crate) struct Taken {
    pub(crate) ticket: Ticket,
    pub(crate) message: OwnedMessage,
}

/// Handles what comes through `messages`, until nobody sends any more and all is done.
pub(super) async fn run<H: Handler>(
    mut messages: mpsc::Receiver<Taken>,
    attempts: Attempts<H>,
    ledger: Arc<Ledger>,
    concurrency: usize,
) {
    let mut lanes = Lanes::default();
    let mut running = JoinSet::new();
    let worker = Arc::new(Worker {
        attempts,
        ledger,
        permits: Semaphore::new(concurrency),
    });
    loop {
        let next = tokio::select! {
            taken = messages.recv() => match taken {
                Some(taken) => lanes.enter(taken),
                None => break,
            },
            Some(key) = running.join_next() => match key {
                Ok(key) => lanes.leave(key),
                Err(error) => { error!(%error, "a lane broke down"); None }
            },
        };
        if let Some((key, taken)) = next {
            running.spawn(Arc::clone(&worker).work(key, taken));
        }
    }
    // What still runs has been waited for as long as there was time; its partition is gone.
    running.shutdown().await;
}

/// The key of a lane: partition and message key.
type Key = Option<(i32, Vec<u8>)>;

/// The messages that wait behind another one of their key.
#[derive(Debug, Default)]
struct Lanes(HashMap<(i32, Vec<u8>), VecDeque<Taken>>);

impl Lanes {
    /// The message, if it can run at once.
    fn enter(&mut self, taken: Taken) -> Option<(Key, Taken)> {
        let Some(key) = taken.message.key() else {
            return Some((None, taken));
        };
        let key = (taken.message.partition(), key.to_vec());
        if let Some(waiting) = self.0.get_mut(&key) {
            waiting.push_back(taken);
            return None;
        }
        self.0.insert(key.clone(), VecDeque::new());
        Some((Some(key), taken))
    }

    /// The next message of the lane, now that the one before it is done.
    fn leave(&mut self, key: Key) -> Option<(Key, Taken)> {
        let key = key?;
        match self.0.get_mut(&key)?.pop_front() {
            Some(next) => Some((Some(key), next)),
            None => {
                self.0.remove(&key);
                None
            }
        }
    }
}

#[derive(Debug)]
struct Worker<H> {
    attempts: Attempts<H>,
    ledger: Arc<Ledger>,
    permits: Semaphore,
}

impl<H: Handler> Worker<H> {
    async fn work(self: Arc<Self>, key: Key, taken: Taken) -> Key {
        // The semaphore is never closed; were it, the work would just be unbounded.
        let _permit = self.permits.acquire().await;
        if let Some(draining) = self.ledger.start(taken.ticket) {
            match self.attempts.deliver(&taken.message, &draining).await {
                Outcome::Done => self.ledger.finish(taken.ticket),
                Outcome::Abandoned => self.ledger.abandon(taken.ticket),
            }
        }
        key
    }
}
