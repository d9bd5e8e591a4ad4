//! What is being waited for at the moment, for people who wonder why nothing moves.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::Failure;

/// How many messages wait after which failure. Clones share it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Waiting(Arc<Mutex<BTreeMap<String, usize>>>);

/// A message that waits, for as long as this lives.
#[derive(Debug)]
pub(crate) struct WaitingMessage {
    waiting: Waiting,
    reason: String,
}

impl Waiting {
    pub(crate) fn wait_for(&self, failure: &Failure) -> WaitingMessage {
        let reason = failure.to_string();
        *self.lock().entry(reason.clone()).or_default() += 1;
        WaitingMessage {
            waiting: self.clone(),
            reason,
        }
    }

    pub(crate) fn all(&self) -> BTreeMap<String, usize> {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for WaitingMessage {
    fn drop(&mut self) {
        let mut waiting = self.waiting.lock();
        if let Some(count) = waiting.get_mut(&self.reason) {
            *count -= 1;
            if *count == 0 {
                waiting.remove(&self.reason);
            }
        }
    }
}
