//! Decisions one by one, where the simulation only sees what becomes of them.

use super::*;
use crate::FailureClass;

const P0: i32 = 0;
const P1: i32 = 1;
const LIMITS: Limits = Limits {
    handlers: 2,
    messages: 4,
    bytes: 100,
    revoke: Duration::from_secs(5),
    drain: Duration::from_secs(7),
};

/// A core with two partitions, and a clock.
struct Setup {
    core: Core<()>,
    now: Instant,
}

impl Setup {
    fn new(limits: Limits) -> Self {
        let mut core = Core::new(limits, RetryPolicy::default(), true, 7);
        let now = Instant::now();
        core.assigned(vec![place(P0), place(P1)], now);
        let mut setup = Self { core, now };
        assert!(matches!(setup.actions()[..], [Action::Assign(_)]));
        assert_eq!(setup.core.assigned_count(), 2);
        setup
    }

    fn receive(&mut self, partition: i32, offset: i64, key: Option<u64>) {
        self.receive_bytes(partition, offset, key, 1);
    }

    fn receive_bytes(&mut self, partition: i32, offset: i64, key: Option<u64>, bytes: usize) {
        let received = Received {
            place: place(partition),
            offset,
            key,
            bytes,
            tries_before: 0,
            message: (),
        };
        self.core.received(received, self.now);
    }

    fn actions(&mut self) -> Vec<Action<()>> {
        std::iter::from_fn(|| self.core.next_action()).collect()
    }

    /// The messages whose handlers start now.
    fn started(&mut self) -> Vec<Id> {
        let handle = |action| match action {
            Action::Handle { id, .. } => Some(id),
            _ => None,
        };
        self.actions().into_iter().filter_map(handle).collect()
    }

    fn end(&mut self, id: Id, end: End) {
        self.core.ended(id, end, self.now);
    }

    fn after(&mut self, pause: Duration) {
        self.now += pause;
        self.core.tick(self.now);
    }

    /// What happens when the core's next timer is due.
    fn at_the_timer(&mut self) -> Vec<Action<()>> {
        let timer = self.core.next_timer().expect("a timer");
        self.after(timer - self.now);
        self.actions()
    }

    fn wants(&self) -> [bool; 2] {
        [P0, P1].map(|partition| self.core.wants(&place(partition)))
    }

    fn standstill(&self) -> Standstill {
        self.core.standstill(self.now)
    }
}

fn place(partition: i32) -> Place {
    Place::new("orders".into(), partition)
}

fn failed(class: FailureClass) -> End {
    End::Failed(Failure::new(class, "simulated", "a failure"))
}

#[test]
fn messages_in_hand_are_bounded_over_all_partitions() {
    let mut setup = Setup::new(LIMITS);
    for offset in 0..4 {
        assert_eq!(setup.wants(), [true, true]);
        setup.receive(P0, offset, None);
    }
    assert_eq!(setup.wants(), [false, false]);
    let [first, _] = setup.started()[..] else {
        panic!("two handlers")
    };
    setup.end(first, End::Handled);
    assert_eq!(setup.wants(), [true, true]);
}

#[test]
fn bytes_in_hand_are_bounded_and_one_message_may_exceed_them() {
    let mut setup = Setup::new(LIMITS);
    setup.receive_bytes(P0, 0, None, 99);
    assert_eq!(setup.wants(), [true, true]);
    setup.receive_bytes(P0, 1, None, 1);
    assert_eq!(setup.wants(), [false, false], "exactly as many");
    let started = setup.started();
    setup.end(started[1], End::Handled);
    assert_eq!(setup.wants(), [true, true]);
    setup.receive_bytes(P0, 2, None, 1_000);
    assert_eq!(setup.wants(), [false, false]);
    let started = [started[0], setup.started()[0]];
    setup.end(started[0], End::Handled);
    assert_eq!(setup.wants(), [false, false]);
    setup.end(started[1], End::Handled);
    assert_eq!(setup.wants(), [true, true]);
}

#[test]
fn an_unfinished_message_closes_its_partition_after_a_window_of_others() {
    let mut setup = Setup::new(LIMITS);
    setup.receive(P0, 0, Some(1));
    let hangs = setup.started()[0];
    for offset in 1..WINDOW as i64 {
        assert_eq!(setup.wants(), [true, true], "{offset}");
        setup.receive(P0, offset, None);
        let started = setup.started()[0];
        setup.end(started, End::Handled);
    }
    assert_eq!(setup.wants(), [false, true]);
    setup.end(hangs, End::Handled);
    assert_eq!(setup.wants(), [true, true]);
    let stored = setup.actions();
    let expected = WINDOW as i64;
    assert!(
        matches!(&stored[..], [Action::Commit(of, offset)] if *of == place(P0) && *offset == expected),
        "{stored:?}"
    );
}

#[test]
fn a_key_that_is_stuck_takes_the_room_of_others_once_enough_of_its_messages_are_in_hand() {
    let mut setup = Setup::new(LIMITS);
    for offset in 0..4 {
        setup.receive(P0, offset, Some(1));
    }
    assert_eq!(setup.started().len(), 1, "the others are behind it");
    assert_eq!(setup.wants(), [false, false]);
}

#[test]
fn a_refused_letter_pauses_its_partition_until_it_is_written() {
    let mut setup = Setup::new(LIMITS);
    setup.receive(P0, 0, Some(1));
    let id = setup.started()[0];
    setup.end(id, failed(FailureClass::Permanent));
    assert!(matches!(
        setup.actions()[..],
        [Action::WriteLetter { tries: 1, .. }]
    ));
    setup.end(id, End::LetterFailed);
    assert_eq!(setup.wants(), [true, true], "the broker may take it later");
    assert!(matches!(
        setup.at_the_timer()[..],
        [Action::WriteLetter { .. }]
    ));
    setup.end(id, End::LetterRefused("forbidden".to_owned()));
    assert_eq!(setup.wants(), [false, true]);
    let expected = vec![(place(P0), "forbidden".to_owned())];
    assert_eq!(setup.standstill().no_letters, expected);
    assert!(matches!(
        setup.at_the_timer()[..],
        [Action::WriteLetter { .. }]
    ));
    setup.end(id, End::LetterFailed);
    assert_eq!(setup.standstill().no_letters, expected, "still");
    assert!(matches!(
        setup.at_the_timer()[..],
        [Action::WriteLetter { .. }]
    ));
    setup.end(id, End::LetterWritten);
    assert_eq!(setup.wants(), [true, true]);
    assert_eq!(setup.standstill(), Standstill::default());
    assert!(matches!(setup.actions()[..], [Action::Commit(_, 1)]));
}

#[test]
fn the_brake_stops_everything_and_says_so() {
    let mut setup = Setup::new(LIMITS);
    let mut letters = 0;
    for offset in 0.. {
        setup.receive(P0, offset, None);
        let Some(&id) = setup.started().first() else {
            panic!("after {letters} letters nothing starts")
        };
        setup.end(id, failed(FailureClass::Permanent));
        if setup.standstill().brake {
            break;
        }
        let written = setup.actions();
        assert!(
            matches!(written[..], [Action::WriteLetter { .. }]),
            "{written:?}"
        );
        letters += 1;
        setup.end(id, End::LetterWritten);
        setup.actions();
    }
    assert_eq!(letters, 100);
    assert!(setup.actions().is_empty(), "no letter");
    assert_eq!(setup.wants(), [false, false]);
    setup.receive(P1, 0, None);
    setup.after(Duration::from_secs(3_600));
    assert!(setup.actions().is_empty(), "nothing is handled");
    // What is unfinished comes again.
    setup.core.stop(setup.now);
    let end = setup.actions();
    assert!(
        matches!(end[..], [Action::Release(_), Action::Leave]),
        "{end:?}"
    );
}

#[test]
fn stop_while_a_revoke_is_pending_ends_in_leave_exactly_once() {
    let mut setup = Setup::new(LIMITS);
    setup.receive(P0, 0, None);
    setup.receive(P1, 0, None);
    let hang = setup.started();
    setup.core.revoked(vec![place(P0)], false, setup.now);
    setup.after(Duration::from_secs(1));
    setup.core.stop(setup.now);
    setup.core.stop(setup.now);
    assert!(setup.actions().is_empty(), "both hang");
    // At the deadline of the revocation, 5 s, and at the end of the drain, 8 s.
    for (id, partition, seconds) in [(hang[0], P0, 4), (hang[1], P1, 3)] {
        let before = setup.now;
        let cancelled = setup.at_the_timer();
        assert!(
            matches!(cancelled[..], [Action::Cancel(of)] if of == id),
            "{cancelled:?}"
        );
        assert_eq!(setup.now - before, Duration::from_secs(seconds));
        setup.end(id, End::Cancelled);
        let released = setup.actions();
        let Action::Release(places) = &released[0] else {
            panic!("{released:?}")
        };
        assert_eq!(*places, [place(partition)]);
        let leaves = matches!(released[1..], [Action::Leave]);
        assert_eq!(
            (leaves, released.len()),
            (partition == P1, 1 + usize::from(leaves))
        );
    }
    setup.after(Duration::from_secs(60));
    assert!(setup.actions().is_empty());
}

#[test]
fn a_stop_shortens_a_revoke_that_would_take_longer() {
    let drain = Duration::from_secs(1);
    let mut setup = Setup::new(Limits { drain, ..LIMITS });
    setup.receive(P0, 0, None);
    setup.core.revoked(vec![place(P0)], false, setup.now);
    setup.core.stop(setup.now);
    assert_eq!(setup.core.next_timer(), Some(setup.now + drain));
}

#[test]
fn a_partition_that_is_revoked_while_the_program_ends_is_released_once() {
    let mut setup = Setup::new(LIMITS);
    setup.receive(P0, 0, None);
    let id = setup.started()[0];
    setup.core.stop(setup.now);
    setup
        .core
        .revoked(vec![place(P0), place(P1)], false, setup.now);
    setup.end(id, End::Handled);
    let mut released: Vec<Place> = Vec::new();
    for action in setup.actions() {
        if let Action::Release(places) = action {
            released.extend(places);
        }
    }
    assert_eq!(released, [place(P0), place(P1)]);
}

#[test]
fn a_partition_that_is_assigned_while_the_program_ends_is_given_up_unread() {
    let mut setup = Setup::new(LIMITS);
    setup.receive(P0, 0, None);
    let id = setup.started()[0];
    setup.core.stop(setup.now);
    let late = Place::new("orders".into(), 2);
    setup.core.assigned(vec![late.clone()], setup.now);
    assert!(!setup.core.wants(&late));
    let actions = setup.actions();
    let [Action::Assign(assigned), Action::Release(released)] = &actions[..] else {
        panic!("{actions:?}")
    };
    assert_eq!(
        (&assigned[..], &released[..]),
        (&[late.clone()][..], &[late][..])
    );
    setup.end(id, End::Handled);
    let left = setup.actions();
    assert!(matches!(left.last(), Some(Action::Leave)), "{left:?}");
}

#[test]
fn a_handler_that_does_not_notice_its_cancellation_is_given_up_a_second_later() {
    let mut setup = Setup::new(LIMITS);
    for offset in 0..3 {
        setup.receive(P0, offset, None);
    }
    assert_eq!(setup.started().len(), 2);
    setup.core.revoked(vec![place(P0)], false, setup.now);
    assert!(matches!(
        setup.at_the_timer()[..],
        [Action::Cancel(_), Action::Cancel(_)]
    ));
    let cancelled = setup.now;
    assert!(matches!(setup.at_the_timer()[..], [Action::Release(_)]));
    assert_eq!(setup.now - cancelled, CANCELLATION);
    // Their slots are free again.
    for offset in 0..2 {
        setup.receive(P1, offset, None);
    }
    assert_eq!(setup.started().len(), 2);
}

#[test]
fn a_partition_stands_still_after_30_s_with_unread_messages_and_room() {
    let mut setup = Setup::new(LIMITS);
    let p0 = place(P0);
    setup.core.hindered(&p0, "forbidden".to_owned());
    setup.core.unread(&p0, true, setup.now);
    setup.after(STALL - Duration::from_millis(1));
    setup.core.unread(&p0, true, setup.now);
    assert_eq!(setup.standstill().stalled, []);
    setup.after(Duration::from_millis(1));
    let expected = (p0.clone(), Some("forbidden".to_owned()));
    assert_eq!(setup.standstill().stalled, [expected]);
    setup.receive(P0, 0, Some(1));
    assert_eq!(setup.standstill().stalled, [], "a message came");

    for (name, change) in [
        (
            "all is read",
            (|setup| setup.core.unread(&place(P0), false, setup.now)) as fn(&mut Setup),
        ),
        ("there is no room", |setup| {
            (1..=3).for_each(|offset| setup.receive(P0, offset, Some(1)));
            setup.core.unread(&place(P0), true, setup.now);
        }),
    ] {
        setup.core.unread(&p0, true, setup.now);
        setup.after(STALL);
        assert_eq!(setup.standstill().stalled, [(p0.clone(), None)]);
        change(&mut setup);
        assert_eq!(setup.standstill().stalled, [], "{name}");
    }
}

#[test]
fn messages_that_wait_for_a_retry_are_counted_by_their_failure() {
    let mut setup = Setup::new(LIMITS);
    setup.receive(P0, 0, Some(1));
    setup.receive(P0, 1, Some(2));
    for id in setup.started() {
        setup.end(id, failed(FailureClass::Unavailable));
    }
    assert_eq!(setup.core.waiting(), [("a failure".to_owned(), 2)].into());
    setup.after(Duration::from_millis(200));
    assert_eq!(setup.started().len(), 2);
    assert_eq!(setup.core.waiting(), BTreeMap::new(), "both are handled");
    assert_eq!(setup.core.next_timer(), None);
}

/// The log is cut to two messages and goes on from there while four are being handled.
#[test]
fn of_a_truncated_log_the_messages_before_the_cut_still_count_and_no_others() {
    let mut setup = Setup::new(Limits {
        handlers: 10,
        messages: 10,
        ..LIMITS
    });
    (0..4).for_each(|offset| setup.receive(P0, offset, None));
    let old = setup.started();
    setup.receive(P0, 2, None);
    let actions = setup.actions();
    let [Action::Commit(_, 0), Action::Handle { id: new_2, .. }] = actions[..] else {
        panic!("{actions:?}")
    };
    setup.receive(P0, 3, None);
    let new_3 = setup.started()[0];
    for (id, stored) in [
        (old[2], None),
        (old[0], Some(1)),
        (old[3], None),
        (old[1], Some(2)),
        (new_2, Some(3)),
        (new_3, Some(4)),
    ] {
        setup.end(id, End::Handled);
        let offset = match setup.actions()[..] {
            [Action::Store(_, offset)] => Some(offset),
            [] => None,
            ref others => panic!("{others:?}"),
        };
        assert_eq!(offset, stored, "{id}");
    }
}

/// An offset that was to be stored would cover messages of the log as it is now.
#[test]
fn a_truncation_forgets_what_was_to_be_stored_of_that_partition_only() {
    let mut setup = Setup::new(LIMITS);
    setup.receive(P0, 5, None);
    setup.receive(P1, 5, None);
    for id in setup.started() {
        setup.end(id, End::Handled);
    }
    setup.receive(P0, 5, None);
    let stored = setup
        .actions()
        .into_iter()
        .filter_map(|action| match action {
            Action::Commit(place, offset) => Some((place.partition, offset)),
            _ => None,
        });
    assert_eq!(stored.collect::<Vec<_>>(), [(P1, 6), (P0, 5)]);
}

#[test]
fn a_failure_in_a_partition_that_is_revoked_is_neither_retried_nor_dead_lettered() {
    for class in [FailureClass::Transient, FailureClass::Permanent] {
        let mut setup = Setup::new(LIMITS);
        setup.receive(P0, 0, Some(1));
        setup.receive(P0, 1, Some(1));
        let id = setup.started()[0];
        setup.core.revoked(vec![place(P0)], false, setup.now);
        assert!(setup.actions().is_empty(), "it is being handled");
        setup.end(id, failed(class));
        let actions = setup.actions();
        assert!(matches!(actions[..], [Action::Release(_)]), "{actions:?}");
        assert_eq!(setup.core.next_timer(), None);
    }
}

#[test]
fn what_is_handled_in_time_after_a_revoke_is_stored_before_the_release() {
    let mut setup = Setup::new(LIMITS);
    setup.receive(P0, 0, Some(1));
    let id = setup.started()[0];
    setup.core.revoked(vec![place(P0)], false, setup.now);
    setup.end(id, End::Handled);
    let actions = setup.actions();
    assert!(
        matches!(actions[..], [Action::Commit(_, 1), Action::Release(_)]),
        "{actions:?}"
    );
}
