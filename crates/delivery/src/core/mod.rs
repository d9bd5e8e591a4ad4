//! The consumer's decisions, without any I/O.
//!
//! The core is told what happened ([`Core::assigned`], [`Core::received`], [`Core::ended`], …) and at what time; it
//! answers with [`Action`]s for the loop around it. It owns no thread, reads no clock and draws its random numbers from
//! a seed, so the simulation can drive it through any order of events, again and again.
//!
//! A message in hand is in one of these states:
//!
//! ```text
//! received → Behind (another message of its key) → Ready → Handling ─┬→ done
//!                                                    ↑       │       └→ Letter ─┬→ done
//!                                                    └ Pause ┘             ↑    │
//!                                                                          └ Pause
//! ```

mod brake;
mod lanes;
mod offsets;
mod retries;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use rand::{SeedableRng, rngs::StdRng};
use tracing::{error, info, warn};

use crate::Failure;
use brake::Brake;
use lanes::{Lane, Lanes};
use offsets::Offsets;
use retries::Failures;

pub use retries::{Backoff, RetryPolicy};

/// How many messages of one partition may be received past the offset to store. A crash makes at most this many come
/// again from each partition.
const WINDOW: usize = 1_000;
/// How long handlers may take to notice that they were cancelled, before their partition is released all the same.
pub(crate) const CANCELLATION: Duration = Duration::from_millis(500);
/// How long a partition with unread messages may stand still before it counts as stalled.
const STALL: Duration = Duration::from_secs(30);
/// The pauses between tries to write a dead letter.
const LETTER: Backoff = Backoff {
    first: Duration::from_millis(200),
    longest: Duration::from_secs(60),
};

/// A partition of a topic.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) topic: Arc<str>,
    pub(crate) partition: i32,
}

/// A message in hand; a message that is received again gets another one.
pub(crate) type Id = u64;

/// Bounds of a consumer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limits {
    /// How many handlers run at once.
    pub(crate) handlers: usize,
    /// How many messages are in hand: received and not ended.
    pub(crate) messages: usize,
    /// How many bytes these may have, keys and values together. One message may be larger.
    pub(crate) bytes: usize,
    /// How long a revoked partition waits for its handlers.
    pub(crate) revoke: Duration,
    /// How long the end waits for handlers.
    pub(crate) drain: Duration,
}

/// What was received.
#[derive(Debug)]
pub(crate) struct Received<M> {
    pub(crate) place: Place,
    pub(crate) offset: i64,
    /// The hash of the key; `None` for a message without one, whose order does not matter.
    pub(crate) key: Option<u64>,
    pub(crate) bytes: usize,
    /// How often the message was tried before it was sent, because it is a replay of a dead letter.
    pub(crate) tries_before: u32,
    pub(crate) message: M,
}

/// How the handling of a message, or the writing of its dead letter, ended.
#[derive(Debug)]
pub(crate) enum End {
    Handled,
    Failed(Failure),
    /// The handler was dropped before it ended.
    Cancelled,
    LetterWritten,
    /// The broker may take the letter later.
    LetterFailed,
    /// The broker will not take the letter until somebody changes the topic or the permissions.
    LetterRefused(String),
}

/// What the loop has to do.
#[derive(Debug)]
pub(crate) enum Action<M> {
    /// Call the handler, for the `retries`-th retry of the message.
    Handle { id: Id, message: M, retries: u32 },
    /// Write a dead letter.
    WriteLetter {
        id: Id,
        message: M,
        failure: Failure,
        tries: u32,
    },
    /// Drop the future that handles this message or writes its letter.
    Cancel(Id),
    /// Start fetching from these partitions.
    Assign(Vec<Place>),
    /// Store an offset, which librdkafka commits in time.
    Store(Place, i64),
    /// Store and commit the first offset of an assignment, or of a new life of the log: the one that was committed before
    /// may be higher, and librdkafka commits only stored offsets that are above it.
    Commit(Place, i64),
    /// Give these partitions up. Nothing of them is handled any more.
    Release(Vec<Place>),
    /// Leave the group: everything is done, or cancelled.
    Leave,
}

/// What a person has to know when a consumer does not get on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Standstill {
    /// Partitions with unread messages from which nothing was received for 30 s, with the last error of each.
    pub(crate) stalled: Vec<(Place, Option<String>)>,
    /// Partitions that wait because a dead letter cannot be written, with the reason.
    pub(crate) no_letters: Vec<(Place, String)>,
    /// Whether the [`Brake`] for dead letters is on.
    pub(crate) brake: bool,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Core<M> {
    limits: Limits,
    policy: RetryPolicy,
    /// Without dead letters a message that cannot be handled is dropped.
    dead_letters: bool,
    random: StdRng,
    places: BTreeMap<Place, Assigned>,
    messages: BTreeMap<Id, InHand<M>>,
    lanes: Lanes,
    ready: VecDeque<Id>,
    pauses: BTreeSet<(Instant, Id)>,
    releases: Vec<Release>,
    handling: usize,
    bytes: usize,
    /// Counts ids and assignments.
    numbers: u64,
    brake: Brake,
    actions: VecDeque<Action<M>>,
    stopping: bool,
    has_left: bool,
}

/// A partition that is ours.
#[derive(Debug)]
struct Assigned {
    /// Changes with each assignment and each new life of the log: what was received under an older number no longer
    /// moves the offset. p0 is revoked while m7 runs, p0 comes back, m7 is delivered again; the end of the *first* m7
    /// must not mark the second as done.
    life: u64,
    offsets: Offsets,
    stored: Option<i64>,
    /// Whether this life of the log has a committed offset.
    has_committed: bool,
    /// No more messages are received or started.
    is_leaving: bool,
    letters_refused: Option<String>,
    /// Since when it stands still although there are unread messages and room for them.
    starved_since: Option<Instant>,
    last_error: Option<String>,
}

#[derive(Debug)]
struct InHand<M> {
    place: Place,
    life: u64,
    offset: i64,
    lane: Option<Lane>,
    bytes: usize,
    state: State,
    tries_before: u32,
    tries: u32,
    letter_tries: u32,
    failures: Failures,
    last_failure: Option<Failure>,
    message: M,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Behind,
    Ready,
    Handling,
    WritingLetter,
    /// Waits for another try, until a time that stands in `pauses`; for another letter if `true`.
    Pausing(Instant, bool),
    /// The brake is on: nothing happens to the message any more.
    Held,
}

/// Partitions that are given up together.
#[derive(Debug)]
struct Release {
    places: Vec<Place>,
    /// When handlers are cancelled.
    deadline: Instant,
    cancelled: bool,
    /// The partitions belong to another member already: their offsets are not ours to store.
    lost: bool,
}

impl<M: Clone> Core<M> {
    pub(crate) fn new(limits: Limits, policy: RetryPolicy, dead_letters: bool, seed: u64) -> Self {
        Self {
            limits,
            policy,
            dead_letters,
            random: StdRng::seed_from_u64(seed),
            places: BTreeMap::new(),
            messages: BTreeMap::new(),
            lanes: Lanes::default(),
            ready: VecDeque::new(),
            pauses: BTreeSet::new(),
            releases: Vec::new(),
            handling: 0,
            bytes: 0,
            numbers: 0,
            brake: Brake::default(),
            actions: VecDeque::new(),
            stopping: false,
            has_left: false,
        }
    }

    /// The group has assigned partitions to this member. While it stops, it gives them up at once.
    pub(crate) fn assigned(&mut self, places: Vec<Place>, now: Instant) {
        for place in &places {
            let life = self.next_number();
            self.places.insert(place.clone(), Assigned::new(life));
        }
        self.actions.push_back(Action::Assign(places.clone()));
        if self.stopping {
            self.release(places, false, now);
            self.tick(now);
        }
    }

    /// The group takes partitions away; if they are `lost`, another member may have them already.
    pub(crate) fn revoked(&mut self, places: Vec<Place>, lost: bool, now: Instant) {
        let patience = if lost {
            Duration::ZERO
        } else {
            self.limits.revoke
        };
        self.release(places, lost, now + patience);
        self.tick(now);
    }

    /// The program ends: everything is released, with the time for the end. Later rebalances change nothing.
    pub(crate) fn stop(&mut self, now: Instant) {
        if self.stopping {
            return;
        }
        self.stopping = true;
        let deadline = now + self.limits.drain;
        for release in &mut self.releases {
            release.deadline = release.deadline.min(deadline);
        }
        let is_ours = |(_, assigned): &(&Place, &Assigned)| !assigned.is_leaving;
        let ours = self.places.iter().filter(is_ours);
        let places = ours.map(|(place, _)| place.clone()).collect();
        self.release(places, false, deadline);
        self.tick(now);
    }

    /// Whether another message of this partition may be received.
    pub(crate) fn wants(&self, place: &Place) -> bool {
        let has_room = self.messages.len() < self.limits.messages && self.bytes < self.limits.bytes;
        let place = self.places.get(place);
        has_room && !self.brake.is_on() && place.is_some_and(Assigned::is_open)
    }

    /// A message came. One of a partition that is not ours any more is ignored: its new owner gets it.
    pub(crate) fn received(&mut self, received: Received<M>, now: Instant) {
        let life = self.next_number();
        let Some(assigned) = self.places.get_mut(&received.place) else {
            return;
        };
        if assigned.is_leaving {
            return;
        }
        assigned.starved_since = None;
        assigned.last_error = None;
        if !assigned.offsets.receive(received.offset) {
            warn!(
                partition = ?received.place,
                offset = received.offset,
                newest = assigned.offsets.newest(),
                "Offsets went backwards: the topic was truncated or recreated. All its messages are handled."
            );
            let old = assigned.start_over(life, received.offset);
            let still_counts = self
                .messages
                .values_mut()
                .filter(|message| message.life == old && message.offset < received.offset);
            still_counts.for_each(|message| message.life = life);
            // What was to be stored, or is stored, covers messages of the log as it is now.
            let place = &received.place;
            self.actions.retain(|action| {
                !matches!(action, Action::Store(of, _) | Action::Commit(of, _) if of == place)
            });
            self.store(&received.place);
        }
        let id = self.next_number();
        let life = self.places[&received.place].life;
        let lane = received.key.map(|key| (received.place.clone(), key));
        self.bytes += received.bytes;
        let is_first = lane
            .as_ref()
            .is_none_or(|lane| self.lanes.enter(lane.clone(), id));
        let message = InHand {
            place: received.place,
            life,
            offset: received.offset,
            lane,
            bytes: received.bytes,
            state: State::Behind,
            tries_before: received.tries_before,
            tries: 0,
            letter_tries: 0,
            failures: Failures::default(),
            last_failure: None,
            message: received.message,
        };
        self.messages.insert(id, message);
        if is_first {
            self.make_ready(id);
        }
        self.tick(now);
    }

    /// A handler, or the writing of a letter, ended.
    pub(crate) fn ended(&mut self, id: Id, end: End, now: Instant) {
        let Some(message) = self.messages.get_mut(&id) else {
            return;
        };
        if message.state == State::Handling {
            self.handling -= 1;
        }
        // Whatever comes next, nothing runs for the message now.
        message.state = State::Held;
        match end {
            End::Handled => {
                self.brake.handled(now);
                self.finish(id);
            }
            End::LetterWritten => self.finish(id),
            End::Cancelled => self.abandon(id),
            _ if self.is_leaving(id) => self.abandon(id),
            End::Failed(failure) => self.failed(id, failure, now),
            End::LetterFailed => self.retry_letter(id, None, now),
            End::LetterRefused(reason) => self.retry_letter(id, Some(reason), now),
        }
        self.tick(now);
    }

    /// A commit of this partition's offset failed.
    pub(crate) fn commit_failed(&mut self, place: &Place) {
        if let Some(assigned) = self.places.get_mut(place) {
            assigned.has_committed = false;
        }
    }

    /// Repeats the commits that failed. Without this, an offset that was committed before a truncation could outlive it.
    pub(crate) fn repeat_commits(&mut self) {
        for (place, assigned) in &mut self.places {
            if let Some(stored) = assigned.stored.filter(|_| !assigned.has_committed) {
                assigned.has_committed = true;
                self.actions
                    .push_back(Action::Commit(place.clone(), stored));
            }
        }
    }

    /// librdkafka reported an error of this partition.
    pub(crate) fn hindered(&mut self, place: &Place, error: String) {
        if let Some(assigned) = self.places.get_mut(place) {
            assigned.last_error = Some(error);
        }
    }

    /// How far the broker's log goes beyond what was received: whether there are unread messages.
    pub(crate) fn unread(&mut self, place: &Place, is_unread: bool, now: Instant) {
        let wanted = is_unread && self.wants(place);
        if let Some(assigned) = self.places.get_mut(place) {
            assigned.starved_since = wanted.then(|| assigned.starved_since.unwrap_or(now));
        }
    }

    /// Time has passed.
    pub(crate) fn tick(&mut self, now: Instant) {
        while let Some((_, id)) = self.pauses.pop_first_if_due(now) {
            let message = self.messages.get_mut(&id);
            match message.map(|message| message.state) {
                Some(State::Pausing(_, false)) => self.make_ready(id),
                Some(State::Pausing(_, true)) => self.write_letter(id),
                _ => {}
            }
        }
        self.release_what_is_due(now);
        while self.handling < self.limits.handlers && !self.brake.is_on() {
            let Some(id) = self.ready.pop_front() else {
                break;
            };
            self.handle(id);
        }
    }

    /// When time alone changes something next.
    pub(crate) fn next_timer(&self) -> Option<Instant> {
        let pause = self.pauses.first().map(|(due, _)| *due);
        let release = self.releases.iter().map(|release| release.deadline).min();
        pause.into_iter().chain(release).min()
    }

    /// What to do next; to be called until there is nothing more.
    pub(crate) fn next_action(&mut self) -> Option<Action<M>> {
        self.actions.pop_front()
    }

    pub(crate) fn is_in_hand(&self, id: Id) -> bool {
        self.messages.contains_key(&id)
    }

    pub(crate) fn assigned_count(&self) -> usize {
        self.places.len()
    }

    pub(crate) fn standstill(&self, now: Instant) -> Standstill {
        let mut standstill = Standstill {
            brake: self.brake.is_on(),
            ..Standstill::default()
        };
        for (place, assigned) in &self.places {
            if let Some(reason) = &assigned.letters_refused {
                standstill.no_letters.push((place.clone(), reason.clone()));
            }
            let starved = assigned
                .starved_since
                .map(|since| now.saturating_duration_since(since));
            if starved.is_some_and(|starved| starved >= STALL) {
                standstill
                    .stalled
                    .push((place.clone(), assigned.last_error.clone()));
            }
        }
        standstill
    }

    /// How many messages wait for another try, by the failure of the last one.
    pub(crate) fn waiting(&self) -> BTreeMap<String, usize> {
        let mut waiting = BTreeMap::new();
        for message in self.messages.values() {
            if let (State::Pausing(..), Some(failure)) = (message.state, &message.last_failure) {
                *waiting.entry(failure.to_string()).or_default() += 1;
            }
        }
        waiting
    }

    fn next_number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }

    fn make_ready(&mut self, id: Id) {
        if let Some(message) = self.messages.get_mut(&id) {
            message.state = State::Ready;
            self.ready.push_back(id);
        }
    }

    fn handle(&mut self, id: Id) {
        let Some(message) = self.messages.get_mut(&id) else {
            return;
        };
        message.state = State::Handling;
        self.handling += 1;
        let retries = message.tries_before.saturating_add(message.tries);
        message.tries = message.tries.saturating_add(1);
        self.actions.push_back(Action::Handle {
            id,
            message: message.message.clone(),
            retries,
        });
    }

    fn failed(&mut self, id: Id, failure: Failure, now: Instant) {
        let Some(message) = self.messages.get_mut(&id) else {
            return;
        };
        let (class, retry_after) = (failure.class(), failure.retry_after());
        let failures = &mut message.failures;
        let pause = self
            .policy
            .after(failures, class, retry_after, now, &mut self.random);
        log_failure(message, &failure, pause);
        message.last_failure = Some(failure);
        match pause {
            Some(pause) => self.pause(id, now + pause, false),
            None if !self.dead_letters => self.finish(id),
            None if self.brake.allows_letter(now) => self.write_letter(id),
            None => error!(
                "Half of the last messages became dead letters. No more are written, and nothing is handled until \
                 the program is started again."
            ),
        }
    }

    fn write_letter(&mut self, id: Id) {
        let Some(message) = self.messages.get_mut(&id) else {
            return;
        };
        let Some(failure) = message.last_failure.clone() else {
            return;
        };
        message.state = State::WritingLetter;
        self.actions.push_back(Action::WriteLetter {
            id,
            message: message.message.clone(),
            failure,
            tries: message.tries_before.saturating_add(message.tries),
        });
    }

    /// A letter could not be written. `refused` pauses the partition until one can.
    fn retry_letter(&mut self, id: Id, refused: Option<String>, now: Instant) {
        let Some(message) = self.messages.get_mut(&id) else {
            return;
        };
        message.letter_tries = message.letter_tries.saturating_add(1);
        let pause = LETTER.pause(message.letter_tries, &mut self.random);
        if let Some(assigned) = self.places.get_mut(&message.place) {
            assigned.letters_refused = refused.or(assigned.letters_refused.take());
        }
        self.pause(id, now + pause, true);
    }

    fn pause(&mut self, id: Id, until: Instant, for_letter: bool) {
        if let Some(message) = self.messages.get_mut(&id) {
            message.state = State::Pausing(until, for_letter);
            self.pauses.insert((until, id));
        }
    }

    /// The message is done: its offset may be stored once all before it are done.
    fn finish(&mut self, id: Id) {
        let Some(message) = self.messages.get(&id) else {
            return;
        };
        let place = message.place.clone();
        if let Some(assigned) = self.places.get_mut(&place) {
            if message.letter_tries > 0 {
                assigned.letters_refused = None;
            }
            if assigned.life == message.life {
                assigned.offsets.finish(message.offset);
            }
        }
        self.drop_from_hand(id);
        self.store(&place);
    }

    /// The message is given up unfinished. Its offset stays open, so it comes again.
    fn abandon(&mut self, id: Id) {
        self.drop_from_hand(id);
    }

    fn drop_from_hand(&mut self, id: Id) {
        let Some(message) = self.messages.remove(&id) else {
            return;
        };
        self.bytes -= message.bytes;
        if let State::Pausing(until, _) = message.state {
            self.pauses.remove(&(until, id));
        }
        let Some(lane) = message.lane else { return };
        if message.state == State::Behind {
            self.lanes.remove(&lane, id);
        } else if let Some(next) = self.lanes.leave(&lane) {
            self.make_ready(next);
        }
    }

    /// Stores the partition's offset if it has advanced.
    fn store(&mut self, place: &Place) {
        let Some(assigned) = self.places.get_mut(place) else {
            return;
        };
        let next = assigned.offsets.next();
        let Some(next) = next.filter(|_| next != assigned.stored) else {
            return;
        };
        assigned.stored = Some(next);
        let has_committed = std::mem::replace(&mut assigned.has_committed, true);
        self.actions.push_back(if has_committed {
            Action::Store(place.clone(), next)
        } else {
            Action::Commit(place.clone(), next)
        });
    }

    fn is_leaving(&self, id: Id) -> bool {
        let place = self.messages.get(&id).map(|message| &message.place);
        let assigned = place.and_then(|place| self.places.get(place));
        assigned.is_none_or(|assigned| assigned.is_leaving)
    }

    /// Starts no more messages of these partitions, and gives them up at `deadline`, or when nothing runs for them.
    fn release(&mut self, places: Vec<Place>, lost: bool, deadline: Instant) {
        for place in &places {
            if let Some(assigned) = self.places.get_mut(place) {
                assigned.is_leaving = true;
            }
        }
        let runs = |state| matches!(state, State::Handling | State::WritingLetter);
        let waiting = self
            .messages
            .iter()
            .filter(|(_, message)| !runs(message.state) && places.contains(&message.place));
        let waiting: Vec<Id> = waiting.map(|(id, _)| *id).collect();
        // The last of a lane first, so that none becomes ready by the end of another.
        waiting.into_iter().rev().for_each(|id| self.abandon(id));
        self.ready.retain(|id| self.messages.contains_key(id));
        self.releases.push(Release {
            places,
            deadline,
            cancelled: false,
            lost,
        });
    }

    fn release_what_is_due(&mut self, now: Instant) {
        let mut waiting = Vec::new();
        for mut release in std::mem::take(&mut self.releases) {
            let of_release = |message: &InHand<M>| release.places.contains(&message.place);
            let running = self
                .messages
                .iter()
                .filter(|(_, message)| of_release(message));
            let running: Vec<Id> = running.map(|(id, _)| *id).collect();
            let is_due = now >= release.deadline;
            if running.is_empty() || (is_due && release.cancelled) {
                running.into_iter().for_each(|id| self.give_up(id));
                self.give_back(release);
                continue;
            }
            if is_due {
                let cancel = running.into_iter().map(Action::Cancel);
                self.actions.extend(cancel);
                release.cancelled = true;
                release.deadline = now + CANCELLATION;
            }
            waiting.push(release);
        }
        self.releases = waiting;
        if self.stopping && self.releases.is_empty() && !self.has_left {
            self.has_left = true;
            self.actions.push_back(Action::Leave);
        }
    }

    /// A handler did not even notice that it was cancelled: it blocks its thread.
    fn give_up(&mut self, id: Id) {
        let state = self.messages.get(&id).map(|message| message.state);
        if state == Some(State::Handling) {
            self.handling -= 1;
        }
        self.abandon(id);
    }

    /// A partition that is revoked while the program ends stands in two releases. librdkafka refuses to give it up twice.
    fn give_back(&mut self, mut release: Release) {
        let places = &mut self.places;
        release
            .places
            .retain(|place| places.remove(place).is_some());
        info!(partitions = ?release.places, lost = release.lost, "partitions released");
        self.actions.push_back(Action::Release(release.places));
    }
}

impl Assigned {
    fn new(life: u64) -> Self {
        Self {
            life,
            offsets: Offsets::default(),
            stored: None,
            has_committed: false,
            is_leaving: false,
            letters_refused: None,
            starved_since: None,
            last_error: None,
        }
    }

    fn is_open(&self) -> bool {
        !self.is_leaving && self.letters_refused.is_none() && self.offsets.len() < WINDOW
    }

    /// The log begins again at `offset`. Returns the life that ends.
    fn start_over(&mut self, life: u64, offset: i64) -> u64 {
        self.stored = None;
        self.has_committed = false;
        self.offsets.rewind(offset);
        std::mem::replace(&mut self.life, life)
    }
}

impl Place {
    pub(crate) fn new(topic: Arc<str>, partition: i32) -> Self {
        Self { topic, partition }
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}[{}]", self.topic, self.partition)
    }
}

/// Logs a failure: each one of the message's own, and the first one only while a dependency is unavailable.
fn log_failure<M>(message: &InHand<M>, failure: &Failure, pause: Option<Duration>) {
    let (partition, offset, tries) = (&message.place, message.offset, message.tries);
    let error_type = failure.error_type();
    match pause {
        None => error!(?partition, offset, tries, error.type = error_type, "given up: {failure}"),
        Some(pause) if tries == 1 || failure.class() == crate::FailureClass::Transient => {
            warn!(?partition, offset, tries, ?pause, error.type = error_type, "will be retried: {failure}");
        }
        Some(_) => {
            tracing::debug!(?partition, offset, tries, error.type = error_type, "still retried: {failure}");
        }
    }
}

/// The first element, if its time has come.
trait PopDue<T> {
    fn pop_first_if_due(&mut self, now: Instant) -> Option<(Instant, T)>;
}

impl<T: Ord + Copy> PopDue<T> for BTreeSet<(Instant, T)> {
    fn pop_first_if_due(&mut self, now: Instant) -> Option<(Instant, T)> {
        self.first().filter(|(due, _)| *due <= now)?;
        self.pop_first()
    }
}

#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;
