use std::{
    cell::RefCell,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
};

use super::*;

const AWAY: Option<Option<Duration>> = Some(None);
const ANSWERED: Option<Option<Duration>> = None;

/// A state with a clock that only the test moves.
struct Driven {
    state: State,
    now: Instant,
}

impl Driven {
    fn new() -> Self {
        Self {
            state: State::new(7),
            now: Instant::now(),
        }
    }

    /// A call of a message that is let through at once and ends like this.
    fn call(&mut self, message: &str, end: Option<Option<Duration>>) -> Verdict {
        let number = self.state.next_number();
        assert_eq!(
            self.state.admit(number, message, self.now),
            Admission::Go,
            "{message}"
        );
        self.state.ended(number, message, end, self.now)
    }

    fn closed() -> Self {
        let mut driven = Self::new();
        for message in ["a", "b", "c"] {
            assert_eq!(
                driven.call(message, AWAY),
                Verdict::Return,
                "the first failure is told"
            );
        }
        assert!(driven.state.is_closed());
        driven
    }
}

#[test]
fn three_messages_must_fail_with_no_answer_between() {
    let mut driven = Driven::new();
    driven.call("a", AWAY);
    driven.call("b", AWAY);
    driven.call("x", ANSWERED);
    driven.call("c", AWAY);
    assert!(!driven.state.is_closed());
    for _ in 0..10 {
        driven.now += Duration::from_secs(60);
        driven.call("c", AWAY);
    }
    assert!(
        !driven.state.is_closed(),
        "one message fails, however often"
    );
    driven.call("d", AWAY);
    driven.call("e", AWAY);
    assert!(driven.state.is_closed());
}

#[test]
fn one_message_probes_and_the_next_probe_is_made_by_another() {
    let mut driven = Driven::closed();
    let [a, b] = [(); 2].map(|()| driven.state.next_number());
    let Admission::Wait(Some(at)) = driven.state.admit(a, "a", driven.now) else {
        panic!("the first waits for the time of the probe")
    };
    assert_eq!(
        driven.state.admit(b, "new", driven.now),
        Admission::Wait(None)
    );
    assert_eq!(driven.state.queue.len(), 2);
    driven.now = at;
    assert_eq!(
        driven.state.admit(b, "new", driven.now),
        Admission::Wait(None)
    );
    assert_eq!(driven.state.admit(a, "a", driven.now), Admission::Go);
    assert_eq!(
        driven.state.admit(b, "new", driven.now),
        Admission::Wait(None),
        "one at a time"
    );
    assert_eq!(
        driven.state.ended(a, "a", AWAY, driven.now),
        Verdict::WaitAgain
    );

    assert_eq!(
        driven.state.admit(a, "a", driven.now),
        Admission::Wait(None),
        "not its turn"
    );
    let Admission::Wait(Some(at)) = driven.state.admit(b, "new", driven.now) else {
        panic!("the turn has passed on")
    };
    driven.now = at;
    assert_eq!(driven.state.admit(b, "new", driven.now), Admission::Go);
    assert_eq!(
        driven.state.ended(b, "new", ANSWERED, driven.now),
        Verdict::Return
    );
    assert!(!driven.state.is_closed(), "an answer opens the gate");
    driven.now += Duration::from_secs(60);
    assert_eq!(driven.state.admit(a, "a", driven.now), Admission::Go);
}

#[test]
fn a_dropped_probe_passes_its_turn_on() {
    let mut driven = Driven::closed();
    driven.now += Duration::from_secs(60);
    let [a, b] = [(); 2].map(|()| driven.state.next_number());
    assert_eq!(driven.state.admit(a, "a", driven.now), Admission::Go);
    assert_eq!(
        driven.state.admit(b, "b", driven.now),
        Admission::Wait(None)
    );
    assert!(driven.state.forget(a));
    assert_eq!(driven.state.admit(b, "b", driven.now), Admission::Go);
}

#[test]
fn probes_pause_longer_and_longer_and_honour_retry_after() {
    let mut driven = Driven::closed();
    let number = driven.state.next_number();
    let mut pauses = Vec::new();
    for retry_after in [
        None,
        None,
        None,
        None,
        None,
        None,
        None,
        None,
        Some(45),
        Some(3_600),
    ] {
        let pause = match driven.state.admit(number, "a", driven.now) {
            Admission::Wait(Some(at)) => at - driven.now,
            other => panic!("{other:?}"),
        };
        pauses.push(pause.as_millis());
        driven.now += pause;
        assert_eq!(driven.state.admit(number, "a", driven.now), Admission::Go);
        let end = Some(retry_after.map(Duration::from_secs));
        driven.state.ended(number, "a", end, driven.now);
    }
    for (pause, ceiling) in pauses
        .iter()
        .zip([200, 400, 800, 1_600, 3_200, 6_400, 12_800, 25_600, 30_000])
    {
        assert!((ceiling / 2..=ceiling).contains(pause), "{pauses:?}");
    }
    assert_eq!(pauses[9], 45_000, "{pauses:?}");
    let last = driven.state.admit(number, "a", driven.now);
    let minute = driven.now + Duration::from_secs(60);
    assert_eq!(last, Admission::Wait(Some(minute)), "at most a minute");
}

#[test]
fn a_message_that_is_rejected_while_others_are_answered_is_refused_in_the_end() {
    let mut driven = Driven::new();
    let mut verdicts = Vec::new();
    while verdicts.last() != Some(&Verdict::Refused) && verdicts.len() < 100 {
        verdicts.push(driven.call("cursed", AWAY));
        driven.call("another", ANSWERED);
        driven.now += Duration::from_secs(60);
    }
    assert_eq!(verdicts.len(), 11, "after ten minutes: {verdicts:?}");
}

fn away() -> Failure {
    Failure::new(FailureClass::Unavailable, "503", "email answered 503")
}

/// An outage under twenty messages: how many requests are made, and how often each message fails.
#[tokio::test(start_paused = true)]
async fn an_outage_costs_each_message_one_failure_and_few_requests() {
    const MESSAGES: usize = 20;
    let gate = Gate::new("email");
    let (is_away, requests) = (AtomicBool::new(true), AtomicUsize::new(0));
    let request = || async {
        requests.fetch_add(1, SeqCst);
        match is_away.load(SeqCst) {
            true => Err(away()),
            false => Ok(()),
        }
    };
    let failures = RefCell::new(BTreeMap::new());
    let handled = (0..MESSAGES).map(|number| {
        let (gate, request, failures) = (&gate, &request, &failures);
        async move {
            let message = number.to_string();
            while gate.call(&message, request).await.is_err() {
                *failures.borrow_mut().entry(number).or_insert(0) += 1;
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        }
    });
    let outage = async {
        tokio::time::sleep(Duration::from_secs(900)).await;
        assert_eq!(gate.waiting(), MESSAGES, "all wait");
        is_away.store(false, SeqCst);
    };
    futures_util::join!(futures_util::future::join_all(handled), outage);
    assert!(
        failures.borrow().values().all(|failures| *failures == 1),
        "{failures:?}"
    );
    let requests = requests.load(SeqCst);
    assert!(
        requests <= 3 * MESSAGES + 40,
        "{requests} requests in 15 minutes"
    );
    assert_eq!(gate.waiting(), 0);
}
