//! What is in hand of every partition that is ours at the moment.
//!
//! The polling thread takes messages and stores offsets, the handling starts and finishes them, and
//! the group may take a partition away at any time. All of them meet here. Each assignment of a
//! partition has a number of its own: who finishes a message of an assignment that is over changes
//! nothing, because its offset is no longer ours to store.
//!
//! The lock is held for a few instructions; who waits for something to finish gives it up meanwhile.

use std::{
    collections::BTreeMap,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tokio_util::sync::CancellationToken;

use crate::offsets::Offsets;

/// How many messages of one partition may be taken past the stored offset: what a crash makes come
/// again is bounded by it.
const WINDOW: usize = 1_000;

/// The right to handle one message, under one assignment of its partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ticket {
    partition: i32,
    assignment: u64,
    offset: i64,
}

/// The state shared between polling and handling.
#[derive(Debug)]
pub(crate) struct Ledger {
    topic: String,
    capacity: usize,
    state: Mutex<State>,
    finished: Condvar,
}

#[derive(Debug, Default)]
struct State {
    partitions: BTreeMap<i32, Partition>,
    assignments: u64,
    /// Messages taken and not finished, of assignments that are over too.
    in_hand: usize,
    full: bool,
    awaited: Awaited,
}

/// What the polling thread waits for. To wake a thread is dear beside all else that is done for a
/// message, so it is done only when that has come.
#[derive(Debug, Default)]
enum Awaited {
    #[default]
    Nothing,
    Room,
    AnyEnd,
}

#[derive(Debug, Default)]
struct Partition {
    assignment: u64,
    offsets: Offsets,
    running: usize,
    stored: Option<i64>,
    draining: CancellationToken,
    paused: bool,
}

/// What is to be paused and resumed.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Flow {
    pub(crate) pause: Vec<i32>,
    pub(crate) resume: Vec<i32>,
    /// Whether any partition is paused now.
    pub(crate) held_back: bool,
}

impl Ledger {
    /// A ledger of no partitions of the topic yet, that has room for so many messages.
    pub(crate) fn new(topic: &str, capacity: usize) -> Self {
        Self {
            topic: topic.to_owned(),
            capacity,
            state: Mutex::default(),
            finished: Condvar::new(),
        }
    }

    pub(crate) fn topic(&self) -> &str {
        &self.topic
    }

    pub(crate) fn is_assigned(&self) -> bool {
        !self.lock().partitions.is_empty()
    }

    /// The partitions that are ours.
    pub(crate) fn partitions(&self) -> Vec<i32> {
        self.lock().partitions.keys().copied().collect()
    }

    /// Partitions became ours.
    pub(crate) fn assign(&self, partitions: &[i32]) {
        let mut state = self.lock();
        for partition in partitions {
            state.assignments += 1;
            let assigned = Partition {
                assignment: state.assignments,
                ..Partition::default()
            };
            state.partitions.insert(*partition, assigned);
        }
    }

    /// Starts no more messages of these partitions and waits, for a bounded time, for those that
    /// run. Offsets can be stored meanwhile and after.
    pub(crate) fn drain(&self, partitions: &[i32], at_most: Duration) {
        let deadline = Instant::now() + at_most;
        let mut state = self.lock();
        state
            .partitions_of(partitions)
            .for_each(|partition| partition.draining.cancel());
        state.awaited = Awaited::AnyEnd;
        while state
            .partitions_of(partitions)
            .any(|partition| partition.running > 0)
        {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            state = self
                .finished
                .wait_timeout(state, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        state.awaited = Awaited::Nothing;
    }

    /// Partitions are no longer ours.
    pub(crate) fn forget(&self, partitions: &[i32]) {
        let mut state = self.lock();
        for partition in partitions {
            state.partitions.remove(partition);
        }
    }

    /// Takes a message into hand. None if it is there already or its partition is not ours.
    pub(crate) fn take(&self, partition: i32, offset: i64) -> Option<Ticket> {
        let mut state = self.lock();
        let assigned = state.partitions.get_mut(&partition)?;
        let assignment = assigned.assignment;
        if !assigned.offsets.received(offset) {
            return None;
        }
        state.in_hand += 1;
        Some(Ticket {
            partition,
            assignment,
            offset,
        })
    }

    /// Whether the message may be handled now. If so, what it gets is cancelled when its partition
    /// is about to be taken away; if not, it is out of hand: another consumer gets it.
    pub(crate) fn start(&self, ticket: Ticket) -> Option<CancellationToken> {
        let mut state = self.lock();
        let startable = state.current(ticket);
        let Some(partition) = startable.filter(|partition| !partition.draining.is_cancelled())
        else {
            state.in_hand -= 1;
            return None;
        };
        partition.running += 1;
        Some(partition.draining.clone())
    }

    /// The message that was [started](Self::start) is done.
    pub(crate) fn finish(&self, ticket: Ticket) {
        self.end(ticket, |partition| partition.offsets.done(ticket.offset));
    }

    /// The message that was started is given up unfinished: it stays open, to come again.
    pub(crate) fn abandon(&self, ticket: Ticket) {
        self.end(ticket, |_| {});
    }

    fn end(&self, ticket: Ticket, note: impl FnOnce(&mut Partition)) {
        let mut state = self.lock();
        state.in_hand -= 1;
        if let Some(partition) = state.current(ticket) {
            partition.running -= 1;
            note(partition);
        }
        let has_come = match state.awaited {
            Awaited::Nothing => false,
            Awaited::Room => state.in_hand <= self.roomy(),
            Awaited::AnyEnd => true,
        };
        drop(state);
        if has_come {
            self.finished.notify_all();
        }
    }

    /// Offsets that have advanced since the last call, by partition.
    pub(crate) fn to_store(&self) -> Vec<(i32, i64)> {
        let mut state = self.lock();
        let advanced = state
            .partitions
            .iter_mut()
            .filter_map(|(number, partition)| {
                let next = partition
                    .offsets
                    .next()
                    .filter(|next| Some(*next) != partition.stored)?;
                partition.stored = Some(next);
                Some((*number, next))
            });
        advanced.collect()
    }

    /// How many more messages there is room for.
    pub(crate) fn room(&self) -> usize {
        self.capacity.saturating_sub(self.lock().in_hand)
    }

    /// If there is no room for another message, waits for a bounded time until a quarter of it is free.
    pub(crate) fn wait_for_room(&self, at_most: Duration) {
        let mut state = self.lock();
        if state.in_hand < self.capacity {
            return;
        }
        state.awaited = Awaited::Room;
        let crowded = |state: &mut State| state.in_hand > self.roomy();
        let waited = self.finished.wait_timeout_while(state, at_most, crowded);
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        state.awaited = Awaited::Nothing;
    }

    /// Which partitions are to be paused and which resumed since the last call: all are paused when
    /// there is no room, until a quarter of it is free again; one whose window is full by itself.
    pub(crate) fn flow(&self) -> Flow {
        let mut state = self.lock();
        state.full = if state.full {
            state.in_hand > self.roomy()
        } else {
            state.in_hand >= self.capacity
        };
        let full = state.full;
        let mut flow = Flow::default();
        for (number, partition) in &mut state.partitions {
            let pause = full || partition.offsets.len() >= WINDOW;
            match (partition.paused, pause) {
                (false, true) => flow.pause.push(*number),
                (true, false) => flow.resume.push(*number),
                _ => {}
            }
            partition.paused = pause;
            flow.held_back |= pause;
        }
        flow
    }

    /// With so many in hand a quarter of the room is free, or at least one place.
    fn roomy(&self) -> usize {
        self.capacity - (self.capacity / 4).max(1)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it is held, so a poisoned lock would guard a sound state.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn current(&mut self, ticket: Ticket) -> Option<&mut Partition> {
        self.partitions
            .get_mut(&ticket.partition)
            .filter(|partition| partition.assignment == ticket.assignment)
    }

    fn partitions_of<'a>(
        &'a mut self,
        wanted: &'a [i32],
    ) -> impl Iterator<Item = &'a mut Partition> {
        self.partitions
            .iter_mut()
            .filter(|(number, _)| wanted.contains(number))
            .map(|(_, partition)| partition)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Ledger {
        fn is_draining(&self, partition: i32) -> bool {
            self.lock().partitions[&partition].draining.is_cancelled()
        }
    }

    const NOW: Duration = Duration::ZERO;

    #[test]
    fn a_message_of_an_assignment_that_is_over_stores_nothing() {
        let ledger = Ledger::new("orders", 10);
        ledger.assign(&[0]);
        let old = ledger.take(0, 7).unwrap();
        ledger.start(old).unwrap();
        ledger.forget(&[0]);
        ledger.assign(&[0]);
        let new = ledger.take(0, 7).unwrap();
        ledger.finish(old);
        assert_eq!(ledger.to_store(), []);
        ledger.start(new).unwrap();
        ledger.finish(new);
        assert_eq!(ledger.to_store(), [(0, 8)]);
        assert_eq!(ledger.to_store(), [], "told once");
    }

    #[test]
    fn draining_starts_no_more_and_waits_for_what_runs() {
        let ledger = Ledger::new("orders", 10);
        ledger.assign(&[0, 1]);
        let running = ledger.take(0, 0).unwrap();
        let waiting = ledger.take(0, 1).unwrap();
        let other = ledger.take(1, 0).unwrap();
        ledger.start(running).unwrap();
        std::thread::scope(|scope| {
            let drained = scope.spawn(|| ledger.drain(&[0], Duration::from_secs(60)));
            while !ledger.is_draining(0) {
                std::thread::yield_now();
            }
            assert!(ledger.start(waiting).is_none());
            assert!(ledger.start(other).is_some(), "other partitions go on");
            ledger.finish(running);
            drained.join().unwrap();
        });
        assert_eq!(ledger.to_store(), [(0, 1)]);
    }

    #[test]
    fn draining_gives_up_in_time() {
        let ledger = Ledger::new("orders", 10);
        ledger.assign(&[0]);
        let hanging = ledger.take(0, 0).unwrap();
        ledger.start(hanging).unwrap();
        ledger.drain(&[0], NOW);
        assert_eq!(ledger.to_store(), []);
    }

    #[test]
    fn pauses_all_when_full_and_resumes_when_a_quarter_is_free() {
        let ledger = Ledger::new("orders", 8);
        ledger.assign(&[0, 1]);
        let tickets: Vec<_> = (0..8)
            .map(|offset| ledger.take(0, offset).unwrap())
            .collect();
        // pause, resume, held back: before anything is finished, and after each that is
        let expected: [(&[i32], &[i32], bool); 4] = [
            (&[0, 1], &[], true),
            (&[], &[], true),
            (&[], &[0, 1], false),
            (&[], &[], false),
        ];
        let mut tickets = tickets.into_iter();
        for (pause, resume, held_back) in expected {
            let flow = ledger.flow();
            assert_eq!(
                (&flow.pause[..], &flow.resume[..], flow.held_back),
                (pause, resume, held_back)
            );
            let ticket = tickets.next().unwrap();
            ledger.start(ticket).unwrap();
            ledger.finish(ticket);
        }
    }

    #[test]
    fn room_is_waited_for_until_a_quarter_is_free_or_the_time_is_over() {
        let ledger = Ledger::new("orders", 8);
        ledger.assign(&[0]);
        let take = |offset| ledger.take(0, offset).unwrap();
        let tickets: Vec<_> = (0..7).map(take).collect();
        ledger.wait_for_room(Duration::MAX);
        take(7);
        ledger.wait_for_room(Duration::from_millis(1));
        for ticket in &tickets[..2] {
            ledger.start(*ticket).unwrap();
        }
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| ledger.wait_for_room(Duration::from_secs(60)));
            while !matches!(ledger.lock().awaited, Awaited::Room) {
                std::thread::yield_now();
            }
            ledger.finish(tickets[0]);
            assert!(
                matches!(ledger.lock().awaited, Awaited::Room),
                "one is not enough"
            );
            ledger.finish(tickets[1]);
            waiting.join().unwrap();
        });
        assert!(ledger.flow().pause.is_empty());
    }

    #[test]
    fn an_abandoned_message_holds_its_offset_and_its_window() {
        let ledger = Ledger::new("orders", 2 * WINDOW);
        ledger.assign(&[0, 1]);
        let first = ledger.take(0, 0).unwrap();
        ledger.start(first).unwrap();
        ledger.abandon(first);
        for offset in 1..1_000 {
            let ticket = ledger.take(0, offset).unwrap();
            ledger.start(ticket).unwrap();
            ledger.finish(ticket);
        }
        assert_eq!(ledger.to_store(), []);
        assert_eq!(
            ledger.flow().pause,
            [0],
            "only the partition whose window is full"
        );
    }
}
