//! A gate in front of a dependency: while the dependency is unavailable, one message probes it and the others wait.
//!
//! Without it every message retries by itself: a minute without email costs each order dozens of tries, and each try
//! repeats all that the handler does. With it:
//!
//! - The dependency counts as *unavailable* when at least three different messages have failed on it with no answer
//!   between. Any answer opens the gate, a 500 too: it shows that somebody is there.
//! - While it is unavailable, handlers that come to the call wait inside their `process` span, without a request. One
//!   at a time probes, with pauses from 0.2 s up to 30 s (`Retry-After` is honoured, up to 60 s); the next probe is
//!   another message's turn.
//! - A message that fails for the first time fails: its `process` span shows why. When it comes back it waits here, so
//!   an outage costs it two `process` spans at most, however long the outage is.
//! - A message that fails alone, while others are answered, waits for itself only. When that has gone on for ten minutes
//!   it is refused for good: the dependency is not unavailable, it rejects this message. A shorter time proves nothing: a
//!   dependency that is overloaded refuses some messages and answers others.
//!
//! Waiting handlers keep their slot. Beyond a consumer's concurrency, messages wait in Kafka.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    fmt,
    future::Future,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use rand::{SeedableRng, rngs::StdRng};
use tokio::{sync::watch, time::sleep_until};
use tracing::{info, warn};

use crate::{Backoff, Failure, FailureClass, now};

/// How many messages must fail before the dependency counts as unavailable.
const SEVERAL: usize = 3;
/// How long a message may fail while others are answered, and how often at least.
const REJECTED: Duration = Duration::from_secs(600);
const OWN_FAILURES: u32 = 5;
const PAUSES: Backoff = Backoff {
    first: Duration::from_millis(200),
    longest: Duration::from_secs(30),
};
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(60);
/// How long a failure is remembered of a message that does not come back.
const MEMORY: Duration = Duration::from_secs(900);

/// The gate of one dependency. Clones are the same gate.
#[derive(Clone)]
pub struct Gate {
    dependency: Arc<str>,
    state: Arc<Mutex<State>>,
    changed: watch::Sender<()>,
}

impl Gate {
    /// An open gate in front of a dependency, whose name goes into log lines.
    pub fn new(dependency: impl Into<Arc<str>>) -> Self {
        Self {
            dependency: dependency.into(),
            state: Arc::new(Mutex::new(State::new(rand::random()))),
            changed: watch::Sender::new(()),
        }
    }

    /// Calls the dependency for a message, as soon as the gate lets it. `call` makes one request; it is called again
    /// while it fails as [`Unavailable`](FailureClass::Unavailable), but for the message's first failure.
    ///
    /// # Errors
    /// Any failure of `call` but those that were waited for.
    pub async fn call<T, F>(&self, message: &str, call: impl Fn() -> F) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, Failure>>,
    {
        let turn = Turn::new(self);
        loop {
            turn.wait(message).await;
            let result = call().await;
            let unavailable = result.as_ref().err();
            let unavailable =
                unavailable.filter(|failure| failure.class() == FailureClass::Unavailable);
            let verdict = {
                let mut state = self.lock();
                let was_closed = state.is_closed();
                let retry_after = unavailable.map(Failure::retry_after);
                let verdict = state.ended(turn.number, message, retry_after, now());
                self.log(was_closed, state.is_closed());
                verdict
            };
            self.changed.send_replace(());
            match (verdict, result) {
                (Verdict::WaitAgain, Err(_)) => {}
                (Verdict::Refused, Err(failure)) => {
                    let description =
                        format!("{failure}, for ten minutes while others were answered");
                    let error_type = failure.error_type().to_owned();
                    return Err(Failure::new(
                        FailureClass::Permanent,
                        error_type,
                        description,
                    ));
                }
                (_, result) => return result,
            }
        }
    }

    /// The name of the dependency.
    #[must_use]
    pub fn dependency(&self) -> &str {
        &self.dependency
    }

    /// How many messages are held up here: they wait, or probe.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.lock().held.len()
    }

    fn log(&self, was_closed: bool, is_closed: bool) {
        let dependency = &*self.dependency;
        match (was_closed, is_closed) {
            (false, true) => warn!(
                dependency,
                "unavailable: one message probes it, the others wait"
            ),
            (true, false) => info!(dependency, "available again"),
            _ => {}
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics while the lock is held.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One call's place in the queue. However the call ends, also by being dropped, its place is given up.
struct Turn<'a> {
    gate: &'a Gate,
    number: u64,
}

impl<'a> Turn<'a> {
    fn new(gate: &'a Gate) -> Self {
        let number = gate.lock().next_number();
        Self { gate, number }
    }

    async fn wait(&self, message: &str) {
        let mut changed = self.gate.changed.subscribe();
        loop {
            changed.borrow_and_update();
            let admission = self.gate.lock().admit(self.number, message, now());
            let until = match admission {
                Admission::Go => return,
                Admission::Wait(until) => until,
            };
            let time = async {
                match until {
                    Some(until) => sleep_until(until.into()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                // The sender is in the gate, so it is there.
                _ = changed.changed() => {}
                () = time => {}
            }
        }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if self.gate.lock().forget(self.number) {
            self.gate.changed.send_replace(());
        }
    }
}

/// The gate's decisions, without clock, waiting or chance.
#[derive(Debug)]
pub(crate) struct State {
    failing: BTreeMap<String, Failing>,
    /// Calls that wait, the longest first.
    queue: VecDeque<u64>,
    /// Calls that have waited and are not over.
    held: BTreeSet<u64>,
    probing: Option<u64>,
    probe_at: Option<Instant>,
    /// Failed probes in a row.
    probes: u32,
    numbers: u64,
    random: StdRng,
}

/// A message whose last call has failed.
#[derive(Debug)]
struct Failing {
    times: u32,
    /// Whether the dependency has answered any message since.
    answered_since: bool,
    /// How often it failed although others had been answered since its last failure.
    own: u32,
    /// When it failed for the first time.
    since: Instant,
    again_at: Instant,
}

/// Whether a call may be made now.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    Go,
    /// Until that time, or without one until something changes.
    Wait(Option<Instant>),
}

/// What follows from how a call ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The result is the caller's.
    Return,
    /// The failure is waited for.
    WaitAgain,
    /// The dependency rejects this message.
    Refused,
}

impl State {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            failing: BTreeMap::new(),
            queue: VecDeque::new(),
            held: BTreeSet::new(),
            probing: None,
            probe_at: None,
            probes: 0,
            numbers: 0,
            random: StdRng::seed_from_u64(seed),
        }
    }

    pub(crate) fn next_number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }

    /// Whether the dependency counts as unavailable.
    pub(crate) fn is_closed(&self) -> bool {
        let failing = self.failing.values();
        failing.filter(|failing| !failing.answered_since).count() >= SEVERAL
    }

    /// Whether the call of this number, for this message, may be made now.
    pub(crate) fn admit(&mut self, number: u64, message: &str, now: Instant) -> Admission {
        let until = if self.is_closed() {
            self.join(number);
            let is_first = self.queue.front() == Some(&number) && self.probing.is_none();
            if !is_first {
                return Admission::Wait(None);
            }
            self.probe_at.filter(|at| *at > now)
        } else {
            let again_at = self.failing.get(message).map(|failing| failing.again_at);
            again_at.filter(|at| *at > now)
        };
        if until.is_some() {
            self.join(number);
            return Admission::Wait(until);
        }
        if self.is_closed() {
            self.probing = Some(number);
        }
        self.queue.retain(|waiting| *waiting != number);
        Admission::Go
    }

    /// A call has ended; `unavailable` is set if the dependency was, with its `Retry-After`.
    pub(crate) fn ended(
        &mut self,
        number: u64,
        message: &str,
        unavailable: Option<Option<Duration>>,
        now: Instant,
    ) -> Verdict {
        let was_probe = self.probing.take_if(|probing| *probing == number).is_some();
        let Some(retry_after) = unavailable else {
            self.answered(message, now);
            return Verdict::Return;
        };
        let retry_after = retry_after.unwrap_or_default().min(LONGEST_RETRY_AFTER);
        let failing = self.failing.entry(message.to_owned()).or_insert(Failing {
            times: 0,
            answered_since: false,
            own: 0,
            since: now,
            again_at: now,
        });
        failing.times = failing.times.saturating_add(1);
        failing.own += u32::from(failing.answered_since);
        failing.answered_since = false;
        let lasted = now.saturating_duration_since(failing.since);
        if failing.own >= OWN_FAILURES && lasted >= REJECTED {
            self.failing.remove(message);
            return Verdict::Refused;
        }
        let times = failing.times;
        // The first time, the consumer pauses; see `RetryPolicy::unavailable`.
        let pause = match times {
            1 => retry_after,
            _ => PAUSES.pause(times - 1, &mut self.random).max(retry_after),
        };
        failing.again_at = now + pause;
        if was_probe || self.probe_at.is_none() {
            self.probes = self.probes.saturating_add(1);
            let pause = PAUSES.pause(self.probes, &mut self.random);
            self.probe_at = Some(now + pause.max(retry_after));
        }
        match times {
            1 => Verdict::Return,
            _ => Verdict::WaitAgain,
        }
    }

    /// A call is over, or was dropped. True if that lets another one go.
    pub(crate) fn forget(&mut self, number: u64) -> bool {
        let was_probe = self.probing.take_if(|probing| *probing == number).is_some();
        self.held.remove(&number);
        let waiting = self.queue.len();
        self.queue.retain(|waiting| *waiting != number);
        was_probe || self.queue.len() < waiting
    }

    fn answered(&mut self, message: &str, now: Instant) {
        self.probes = 0;
        self.probe_at = None;
        self.failing.remove(message);
        self.failing.retain(|_, failing| {
            failing.answered_since = true;
            now.saturating_duration_since(failing.again_at) < MEMORY
        });
    }

    fn join(&mut self, number: u64) {
        self.held.insert(number);
        if !self.queue.contains(&number) {
            self.queue.push_back(number);
        }
    }
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut gate = f.debug_struct("Gate");
        gate.field("dependency", &self.dependency)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
