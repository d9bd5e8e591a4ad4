//! Virtual time, the members of a group, and what happens to them.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, Instant},
};

use rand::{Rng, SeedableRng, rngs::StdRng};

use super::{
    broker::{Broker, Sent},
    checks::Checks,
};
use crate::{
    Failure, FailureClass,
    core::{Action, Core, End, Id, Limits, Place, Received, RetryPolicy, State},
};

/// The largest message, in bytes.
const LARGEST: usize = 100;
/// How many events are shown before a failure.
const SHOWN: usize = 60;
/// How long after the last fault everything must have ended.
const PATIENCE: Duration = Duration::from_secs(7_200);

/// One run of the simulation.
pub(super) struct World {
    random: StdRng,
    began: Instant,
    now: Instant,
    events: BTreeMap<(Instant, u64), Event>,
    numbers: u64,
    limits: Limits,
    broker: Broker,
    letters_refused: bool,
    members: BTreeMap<u32, Member>,
    joined: u32,
    /// Who should own what.
    target: BTreeMap<Place, u32>,
    calm: bool,
    only_hanging: bool,
    checks: Checks,
    history: Vec<String>,
}

#[derive(Clone, Copy)]
enum Event {
    Send,
    Fault,
    Calm,
    BrokerUp,
    LettersAllowed,
    /// A member learns that the group has given its partitions to others.
    Unfreeze(u32),
    SessionExpires(u32),
    AutoCommit(u32),
    Timer(u32),
    TaskEnds(u32, u64),
    NoticesCancellation(u32, u64),
}

struct Member {
    core: Core<Arc<Sent>>,
    /// The next offset to fetch, and the life of the log that it belongs to.
    positions: BTreeMap<Place, (i64, u32)>,
    /// The life of the log that the newest message of a partition came from.
    seen: BTreeMap<Place, u32>,
    stored: BTreeMap<Place, i64>,
    committed: BTreeMap<Place, i64>,
    tasks: BTreeMap<u64, Task>,
    is_frozen: bool,
    is_stopping: bool,
    revoking: BTreeSet<Place>,
    timer: Option<Instant>,
}

struct Task {
    id: Id,
    sent: Arc<Sent>,
    is_letter: bool,
    /// `None`: it hangs.
    end: Option<End>,
}

impl World {
    pub(super) fn new(seed: u64) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        let limits = Limits {
            handlers: random.random_range(1..=6),
            messages: random.random_range(6..=24),
            bytes: random.random_range(150..=2_000),
            revoke: Duration::from_secs(5),
            drain: Duration::from_secs(7),
        };
        let began = Instant::now();
        let mut world = Self {
            broker: Broker::new(random.random_range(1..=5)),
            random,
            began,
            now: began,
            events: BTreeMap::new(),
            numbers: 0,
            limits,
            letters_refused: false,
            members: BTreeMap::new(),
            joined: 0,
            target: BTreeMap::new(),
            calm: false,
            only_hanging: false,
            checks: Checks::new(),
            history: Vec::new(),
        };
        for _ in 0..world.random.random_range(1..=3) {
            world.join();
        }
        for _ in 0..world.random.random_range(20..=120) {
            let at = world.random.random_range(0..120_000);
            world.after(Duration::from_millis(at), Event::Send);
        }
        for _ in 0..world.random.random_range(5..=25) {
            let at = world.random.random_range(0..150_000);
            world.after(Duration::from_millis(at), Event::Fault);
        }
        world.after(Duration::from_secs(160), Event::Calm);
        world
    }

    /// Runs to the end; returns what happened.
    pub(super) fn run(mut self) -> Vec<String> {
        while let Some(((at, _), event)) = self.events.pop_first() {
            self.now = at;
            self.happens(event);
            self.settle();
            if self.calm && self.checks.unfinished(&self.broker).is_empty() {
                break;
            }
            let limit = self.began + Duration::from_secs(160) + PATIENCE;
            assert!(
                at < limit,
                "never ended: {:?}",
                self.checks.unfinished(&self.broker)
            );
        }
        assert_eq!(
            self.checks.unfinished(&self.broker),
            Vec::<u64>::new(),
            "ended handled or as a letter"
        );
        self.checks.at_the_end(&self.broker);
        self.stop_all();
        std::mem::take(&mut self.history)
    }

    /// Every member ends within its time, also one whose handlers hang.
    fn stop_all(&mut self) {
        // Messages whose handlers hang, until they are cancelled.
        self.calm = false;
        self.only_hanging = true;
        (0..10).for_each(|_| self.send());
        self.settle();
        let members: Vec<u32> = self.members.keys().copied().collect();
        members.into_iter().for_each(|member| self.stop(member));
        self.settle();
        let deadline = self.now + self.limits.drain + Duration::from_secs(2);
        while !self.members.is_empty() {
            let ((at, _), event) = self.events.pop_first().expect("a member that ends");
            assert!(at <= deadline, "a member does not end");
            self.now = at;
            self.happens(event);
            self.settle();
        }
    }

    fn happens(&mut self, event: Event) {
        match event {
            Event::Send => self.send(),
            Event::Fault => self.fault(),
            Event::Calm => self.calm_down(),
            Event::BrokerUp => self.broker.is_down = false,
            Event::LettersAllowed => self.letters_refused = false,
            Event::Unfreeze(member) => self.unfreeze(member),
            Event::SessionExpires(member) => self.session_expires(member),
            Event::AutoCommit(member) => self.auto_commit(member),
            Event::Timer(member) => {
                let now = self.now;
                if let Some(member) = self.members.get_mut(&member) {
                    member.timer = None;
                    member.core.tick(now);
                }
            }
            Event::TaskEnds(member, task) => self.task_ends(member, task, None),
            Event::NoticesCancellation(member, task) => {
                self.task_ends(member, task, Some(End::Cancelled));
            }
        }
    }

    /// Lets all members fetch and act until nothing more happens at this time.
    fn settle(&mut self) {
        self.assign();
        for member in self.members.keys().copied().collect::<Vec<_>>() {
            self.fetch(member);
            self.perform(member);
            self.schedule_timer(member);
        }
        self.assign();
    }

    fn send(&mut self) {
        let places: Vec<Place> = self.broker.logs.keys().cloned().collect();
        let place = &places[self.random.random_range(0..places.len())];
        let key = self
            .random
            .random_bool(0.9)
            .then(|| self.random.random_range(0..6));
        let bytes = self.random.random_range(0..=LARGEST);
        let is_poison = self.random.random_bool(0.05);
        self.broker.send(place, key, bytes, is_poison);
    }

    fn fault(&mut self) {
        let members: Vec<u32> = self.members.keys().copied().collect();
        let member =
            (!members.is_empty()).then(|| members[self.random.random_range(0..members.len())]);
        match (self.random.random_range(0..10), member) {
            (0, _) if self.members.len() < 4 => self.join(),
            (1, Some(member)) => self.stop(member),
            (2, Some(member)) => self.crash(member),
            (3, Some(member)) => self.freeze(member),
            (4, _) => {
                self.tell("broker down");
                self.broker.is_down = true;
                self.after_up_to(20, Event::BrokerUp);
            }
            (5, _) => {
                self.tell("letters refused");
                self.letters_refused = true;
                self.after_up_to(20, Event::LettersAllowed);
            }
            (6, _) => self.truncate(),
            (7, Some(member)) => self.deliver_again(member),
            _ => self.rebalance(),
        }
    }

    fn calm_down(&mut self) {
        self.tell("calm");
        self.calm = true;
        self.broker.is_down = false;
        self.letters_refused = false;
        if self.members.values().all(|member| member.is_stopping) {
            self.join();
        }
        // Who hung is answered, or gives up.
        let members: Vec<u32> = self.members.keys().copied().collect();
        for number in members {
            let tasks = self.members[&number].tasks.iter();
            let hanging: Vec<u64> = tasks
                .filter(|(_, task)| task.end.is_none())
                .map(|(task, _)| *task)
                .collect();
            for task in hanging {
                let failure = Failure::new(FailureClass::Unavailable, "timeout", "no answer");
                self.task_ends(number, task, Some(End::Failed(failure)));
            }
        }
        self.rebalance();
    }

    fn join(&mut self) {
        self.joined += 1;
        let number = self.joined;
        self.tell(&format!("{number} joins"));
        let seed = self.random.random();
        let member = Member {
            core: Core::new(self.limits, RetryPolicy::default(), true, seed),
            positions: BTreeMap::new(),
            seen: BTreeMap::new(),
            stored: BTreeMap::new(),
            committed: BTreeMap::new(),
            tasks: BTreeMap::new(),
            is_frozen: false,
            is_stopping: false,
            revoking: BTreeSet::new(),
            timer: None,
        };
        self.members.insert(number, member);
        self.after(Duration::from_secs(1), Event::AutoCommit(number));
        self.rebalance();
    }

    fn stop(&mut self, number: u32) {
        self.tell(&format!("{number} stopped"));
        let now = self.now;
        if let Some(member) = self.members.get_mut(&number) {
            member.is_stopping = true;
            member.core.stop(now);
        }
        self.rebalance();
    }

    fn crash(&mut self, number: u32) {
        self.tell(&format!("{number} crash"));
        self.members.remove(&number);
        self.checks.member_ends(number);
        self.after(Duration::from_secs(6), Event::SessionExpires(number));
        self.join();
    }

    fn session_expires(&mut self, number: u32) {
        for log in self.broker.logs.values_mut() {
            log.owner = log.owner.filter(|owner| *owner != number);
        }
        self.rebalance();
    }

    /// The member is not scheduled for longer than its session lasts: others get its partitions, and it does not know.
    fn freeze(&mut self, number: u32) {
        let member = self.members.get_mut(&number).expect("a member");
        if member.is_frozen || member.is_stopping || self.members.len() < 2 {
            return;
        }
        self.members.get_mut(&number).expect("a member").is_frozen = true;
        self.tell(&format!("{number} freezes"));
        for (place, log) in &mut self.broker.logs {
            if log.owner == Some(number) {
                log.owner = None;
                self.checks.lost(place);
            }
        }
        self.rebalance();
        self.after_up_to(20, Event::Unfreeze(number));
    }

    fn unfreeze(&mut self, number: u32) {
        let now = self.now;
        let Some(member) = self.members.get_mut(&number) else {
            return;
        };
        member.is_frozen = false;
        let places: Vec<Place> = member.positions.keys().cloned().collect();
        let is_ours = |place: &Place| self.broker.logs[place].owner == Some(number);
        let lost: Vec<Place> = places.into_iter().filter(|place| !is_ours(place)).collect();
        member.revoking.extend(lost.iter().cloned());
        self.history.push(format!("{number} lost {lost:?}"));
        if let Some(member) = self.members.get_mut(&number) {
            member.core.revoked(lost, true, now);
        }
        self.rebalance();
    }

    /// The log of a partition loses its tail. Its reader is sent back to the first message.
    fn truncate(&mut self) {
        let places: Vec<Place> = self.broker.logs.keys().cloned().collect();
        let place = &places[self.random.random_range(0..places.len())];
        let log = self.broker.logs.get_mut(place).expect("a partition");
        if log.messages.is_empty() {
            return;
        }
        let left = self.random.random_range(0..log.messages.len());
        log.life += 1;
        let (end, life) = (left as i64, log.life);
        for sent in log.messages.drain(left..) {
            self.checks.gone(&sent);
        }
        self.history.push(format!("{place:?} truncated to {left}"));
        for member in self.members.values_mut() {
            if let Some(position) = member.positions.get_mut(place)
                && position.0 > end
            {
                *position = (0, life);
            }
        }
    }

    /// The broker delivers messages again that it has delivered before.
    fn deliver_again(&mut self, number: u32) {
        let back = self.random.random_range(1..=5);
        let member = self.members.get_mut(&number).expect("a member");
        if let Some((place, position)) = member.positions.iter_mut().next() {
            position.0 = (position.0 - back).max(0);
            self.history
                .push(format!("{number} duplicate {place:?} from {}", position.0));
        }
    }

    /// Chooses anew who should own what, and takes from members what is not theirs any more.
    fn rebalance(&mut self) {
        let able = self
            .members
            .iter()
            .filter(|(_, member)| !member.is_stopping && !member.is_frozen);
        let able: Vec<u32> = able.map(|(number, _)| *number).collect();
        self.target.clear();
        if able.is_empty() {
            return;
        }
        let shift = self.random.random_range(0..able.len());
        for (index, place) in self.broker.logs.keys().enumerate() {
            self.target
                .insert(place.clone(), able[(index + shift) % able.len()]);
        }
        let now = self.now;
        for (number, member) in &mut self.members {
            if member.is_frozen || member.is_stopping {
                continue;
            }
            let held = member.positions.keys();
            let elsewhere = held.filter(|place| self.target.get(*place) != Some(number));
            let revoked: Vec<Place> = elsewhere
                .filter(|place| !member.revoking.contains(*place))
                .cloned()
                .collect();
            if !revoked.is_empty() {
                self.history.push(format!("{number} revoked {revoked:?}"));
                member.revoking.extend(revoked.iter().cloned());
                member.core.revoked(revoked, false, now);
            }
        }
    }

    /// Gives free partitions to their new owners.
    fn assign(&mut self) {
        for (place, number) in &self.target {
            let log = self.broker.logs.get_mut(place).expect("a partition");
            let Some(member) = self.members.get_mut(number) else {
                continue;
            };
            let is_held =
                member.positions.contains_key(place) || member.is_frozen || member.is_stopping;
            if log.owner.is_none() && !is_held {
                log.owner = Some(*number);
                member.core.assigned(vec![place.clone()], self.now);
                // Fetching starts when the core has answered; see `perform`.
                member.positions.insert(place.clone(), (i64::MAX, log.life));
            }
        }
    }

    fn fetch(&mut self, number: u32) {
        if self.broker.is_down {
            return;
        }
        let now = self.now;
        let Some(member) = self
            .members
            .get_mut(&number)
            .filter(|member| !member.is_frozen)
        else {
            return;
        };
        for (place, (position, life)) in &mut member.positions {
            while member.core.wants(place) {
                let log = &self.broker.logs[place];
                let Some(sent) = log.at(*position).filter(|_| log.life >= *life) else {
                    break;
                };
                *position += 1;
                member.seen.insert(place.clone(), sent.life);
                let received = Received {
                    place: place.clone(),
                    offset: sent.offset,
                    key: sent.key,
                    bytes: sent.bytes,
                    tries_before: 0,
                    message: Arc::clone(sent),
                };
                member.core.received(received, now);
            }
        }
    }

    fn perform(&mut self, number: u32) {
        while let Some(action) = self
            .members
            .get_mut(&number)
            .and_then(|member| member.core.next_action())
        {
            match action {
                Action::Handle {
                    id,
                    message,
                    retries,
                } => self.handle(number, id, message, retries),
                Action::WriteLetter { id, message, .. } => self.write_letter(number, id, message),
                Action::Cancel(id) => self.cancel(number, id),
                Action::Assign(places) => self.start_fetching(number, &places),
                Action::Store(place, offset) => {
                    self.member(number).stored.insert(place, offset);
                }
                Action::Commit(place, offset) => {
                    self.member(number).stored.insert(place.clone(), offset);
                    self.commit(number, &place, offset);
                }
                Action::Release(places) => self.give_back(number, &places),
                Action::Leave => {
                    let held: Vec<Place> =
                        self.members[&number].positions.keys().cloned().collect();
                    self.give_back(number, &held);
                    self.members.remove(&number);
                    self.checks.member_ends(number);
                    self.tell(&format!("{number} left"));
                    return;
                }
            }
            self.check_bounds(number);
        }
    }

    fn start_fetching(&mut self, number: u32, places: &[Place]) {
        for place in places {
            let log = &self.broker.logs[place];
            let start = log.start_from(log.committed);
            // A log that has outgrown a position of its earlier life: nobody can notice, so this is not promised.
            let unnoticed = log
                .messages
                .iter()
                .filter(|sent| sent.offset < start && sent.life != 0);
            unnoticed.for_each(|sent| self.checks.gone(sent));
            let (committed, life) = (log.committed, log.life);
            let member = self.member(number);
            member.positions.insert(place.clone(), (start, life));
            member.stored.remove(place);
            match committed {
                Some(offset) => member.committed.insert(place.clone(), offset),
                None => member.committed.remove(place),
            };
        }
    }

    fn give_back(&mut self, number: u32, places: &[Place]) {
        self.commit_stored(number, places);
        for place in places {
            let log = self.broker.logs.get_mut(place).expect("a partition");
            log.owner = log.owner.filter(|owner| *owner != number);
            let member = self.member(number);
            member.positions.remove(place);
            member.stored.remove(place);
            member.revoking.remove(place);
        }
    }

    fn auto_commit(&mut self, number: u32) {
        let Some(member) = self.members.get(&number) else {
            return;
        };
        if !member.is_frozen {
            let places: Vec<Place> = member.stored.keys().cloned().collect();
            self.commit_stored(number, &places);
            self.member(number).core.repeat_commits();
        }
        self.after(Duration::from_secs(1), Event::AutoCommit(number));
    }

    /// Commits what is stored, as librdkafka does: only what is above the offset that was committed before.
    fn commit_stored(&mut self, number: u32, places: &[Place]) {
        for place in places {
            let member = &self.members[&number];
            let stored = member.stored.get(place).copied();
            if let Some(offset) = stored.filter(|stored| Some(stored) > member.committed.get(place))
            {
                self.commit(number, place, offset);
            }
        }
    }

    fn commit(&mut self, number: u32, place: &Place, offset: i64) {
        let is_owner = self.broker.logs[place].owner == Some(number);
        if self.broker.is_down || !is_owner || self.members[&number].is_frozen {
            self.member(number).core.commit_failed(place);
            return;
        }
        self.history
            .push(format!("{number} commits {offset} of {place:?}"));
        // Until it has read from it, a member cannot know of another life of the log.
        let life = self.members[&number].seen.get(place).copied().unwrap_or(0);
        self.checks.committed(place, offset, life, &self.broker);
        self.broker
            .logs
            .get_mut(place)
            .expect("a partition")
            .committed = Some(offset);
        self.member(number).committed.insert(place.clone(), offset);
    }

    fn handle(&mut self, number: u32, id: Id, sent: Arc<Sent>, retries: u32) {
        self.history
            .push(format!("{number} handles {} try {retries}", sent.number));
        self.checks
            .handler_starts(number, &sent, retries, &self.broker);
        let end = self.handler(&sent);
        self.spawn(number, id, sent, false, end);
    }

    /// What a handler does with a message; `None` if it hangs.
    fn handler(&mut self, sent: &Sent) -> Option<End> {
        let failed = |class| {
            Some(End::Failed(Failure::new(
                class,
                "simulated",
                "a simulated failure",
            )))
        };
        if sent.is_poison {
            return failed(FailureClass::Permanent);
        }
        match self.random.random_range(0..100) {
            _ if self.only_hanging => None,
            _ if self.calm => Some(End::Handled),
            0..4 => {
                self.tell("a handler hangs");
                None
            }
            4..8 => {
                self.tell("a handler panics");
                Some(End::Failed(Failure::panicked()))
            }
            8..20 => failed(FailureClass::Transient),
            20..30 => failed(FailureClass::Unavailable),
            30..35 => failed(FailureClass::Busy),
            _ => Some(End::Handled),
        }
    }

    fn write_letter(&mut self, number: u32, id: Id, sent: Arc<Sent>) {
        let end = if self.letters_refused {
            self.tell("letter refused");
            End::LetterRefused("forbidden".to_owned())
        } else if self.broker.is_down {
            End::LetterFailed
        } else {
            End::LetterWritten
        };
        self.spawn(number, id, sent, true, Some(end));
    }

    fn spawn(&mut self, number: u32, id: Id, sent: Arc<Sent>, is_letter: bool, end: Option<End>) {
        self.numbers += 1;
        let task = self.numbers;
        if end.is_some() {
            let slow = self.random.random_bool(0.05);
            let most = if slow { 20_000 } else { 300 };
            let takes = self.random.random_range(0..most);
            self.after(Duration::from_millis(takes), Event::TaskEnds(number, task));
        }
        let running = Task {
            id,
            sent,
            is_letter,
            end,
        };
        self.member(number).tasks.insert(task, running);
    }

    fn cancel(&mut self, number: u32, id: Id) {
        let tasks = self.members[&number].tasks.iter();
        let found = tasks
            .filter(|(_, task)| task.id == id)
            .map(|(task, _)| *task)
            .next();
        let Some(task) = found else { return };
        if self.random.random_bool(0.9) {
            self.tell("a handler is cancelled");
            let notices = Event::NoticesCancellation(number, task);
            self.after(Duration::from_millis(1), notices);
        } else {
            // It blocks its thread and does not notice: nobody can stop it, so order by key is not promised.
            self.checks
                .lost(&self.members[&number].tasks[&task].sent.place);
        }
    }

    fn task_ends(&mut self, number: u32, task: u64, instead: Option<End>) {
        let now = self.now;
        let Some(member) = self.members.get_mut(&number) else {
            return;
        };
        let Some(task) = member.tasks.remove(&task) else {
            return;
        };
        let Some(end) = instead.or(task.end) else {
            return;
        };
        self.history
            .push(format!("{number} ends {}: {end:?}", task.sent.number));
        if task.is_letter {
            if matches!(end, End::LetterWritten) {
                self.history
                    .push(format!("letter written {}", task.sent.number));
                self.checks.letter_written(&task.sent);
            }
        } else {
            self.checks
                .handler_ends(number, &task.sent, matches!(end, End::Handled));
        }
        if let Some(member) = self.members.get_mut(&number) {
            member.core.ended(task.id, end, now);
        }
    }

    fn check_bounds(&self, number: u32) {
        let Some(member) = self.members.get(&number) else {
            return;
        };
        let core = &member.core;
        let handling = core
            .messages
            .values()
            .filter(|message| message.state == State::Handling)
            .count();
        self.checks.in_hand(
            &self.limits,
            handling,
            core.messages.len(),
            core.bytes,
            LARGEST,
        );
    }

    fn schedule_timer(&mut self, number: u32) {
        let now = self.now;
        let Some(member) = self.members.get_mut(&number) else {
            return;
        };
        let Some(next) = member.core.next_timer().map(|next| next.max(now)) else {
            return;
        };
        if member.timer.is_none_or(|timer| next < timer) {
            member.timer = Some(next);
            self.after(next - now, Event::Timer(number));
        }
    }

    fn member(&mut self, number: u32) -> &mut Member {
        self.members.get_mut(&number).expect("a member")
    }

    fn after(&mut self, pause: Duration, event: Event) {
        self.numbers += 1;
        self.events.insert((self.now + pause, self.numbers), event);
    }

    fn after_up_to(&mut self, seconds: u64, event: Event) {
        let pause = self.random.random_range(1..=seconds * 1_000);
        self.after(Duration::from_millis(pause), event);
    }

    fn tell(&mut self, line: &str) {
        let at = (self.now - self.began).as_millis();
        self.history.push(format!("{at} ms: {line}"));
    }
}

/// A failed run shows what happened last.
impl Drop for World {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let last = self.history.len().saturating_sub(SHOWN);
            self.history[last..]
                .iter()
                .for_each(|line| eprintln!("    {line}"));
        }
    }
}
