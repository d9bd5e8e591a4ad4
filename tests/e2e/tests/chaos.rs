//! Kills and duplicates at random, for as long as you like: `make test-chaos`.
//!
//! New customers order at a steady rate (`CHAOS_RATE`, each second), and insist. Meanwhile any process is
//! killed, now and then two at once, and some of the messages are sent a second time. After `CHAOS_SECONDS` all
//! that is left is waited for, and then the same must be true as without any of it.
//!
//! `CHAOS_SEED` decides who is killed, and when. A run with the same seed does the same to the system;
//! what that is in the middle of is up to the machine.

use std::{
    collections::{BTreeMap, HashSet},
    env, fmt, thread,
    time::{Duration, Instant},
};

use rand::{Rng, SeedableRng, rngs::StdRng, seq::IndexedRandom};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::{
    database::{Database, Mail},
    faults::kills::{PARTS, kill, start_again},
    load::{Load, Orders},
    support::own,
    topic::Topic,
};

/// How many of all messages come twice.
const DUPLICATED: f64 = 0.05;
/// How many of all kills take two processes at once.
const PAIRS: f64 = 0.25;
/// Between two kills, and between a kill and the new start, in milliseconds.
const PAUSE: u64 = 3_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes ten minutes"]
async fn nothing_is_lost_and_nothing_happens_twice() {
    let plan = Plan::from_environment();
    println!("{plan}");
    let mut shop = own("chaos", |opening| {
        // Not traced: of so many orders nobody could look at the traces.
        opening
            .optimized()
            .with(|stack| stack.env_everywhere("OTEL_TRACES_SAMPLER", "always_off"))
    })
    .await;
    let (database, topic) = (Database::of(&shop), Topic::at(shop.stack.brokers()));
    let load = Load::start(shop.customer(), plan.orders_each_second);
    let end = CancellationToken::new();
    let duplicating = tokio::spawn(send_some_twice(topic.clone(), plan.random(), end.clone()));

    let mut done = Done::default();
    let mut random = plan.random();
    let started = Instant::now();
    while started.elapsed() < plan.duration {
        sleep(pause(&mut random)).await;
        let killed = victims(&mut random);
        for part in &killed {
            kill(&mut shop, part);
            *done.kills.entry(part).or_default() += 1;
        }
        sleep(pause(&mut random)).await;
        done.in_flight.extend(start_again(&mut shop, &killed).await);
    }
    done.orders = load.end().await;
    end.cancel();
    done.duplicates = duplicating.await.expect("no panic");

    topic.expect_waiting(0).await;
    done.dead_letters = topic.dead_letters().await.expect("the dead letters").len();
    if done.dead_letters > 0 {
        shop.orderflow(&["dlq", "replay", "--all"])
            .await
            .expect("a replay");
        topic.expect_waiting(0).await;
    }
    database
        .expect_at_rest(&done.orders.accepted, &done.in_flight)
        .await;
    let orders = database.statuses().await.expect("the statuses").len();
    assert_eq!(orders, done.orders.accepted.len(), "one for each customer");
    done.print(&database).await;
}

/// What is to be done.
struct Plan {
    seed: u64,
    duration: Duration,
    orders_each_second: u32,
}

impl Plan {
    fn from_environment() -> Self {
        let number = |name, default| match env::var(name) {
            Ok(value) => value
                .parse()
                .unwrap_or_else(|_| panic!("{name} is no number")),
            Err(_) => default,
        };
        Self {
            seed: number("CHAOS_SEED", rand::random()),
            duration: Duration::from_secs(number("CHAOS_SECONDS", 600)),
            orders_each_second: u32::try_from(number("CHAOS_RATE", 50)).expect("a rate"),
        }
    }

    fn random(&self) -> StdRng {
        StdRng::seed_from_u64(self.seed)
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seed, seconds) = (self.seed, self.duration.as_secs());
        let rate = self.orders_each_second;
        write!(
            f,
            "CHAOS_SEED={seed} CHAOS_SECONDS={seconds} CHAOS_RATE={rate}"
        )
    }
}

impl Drop for Plan {
    /// What a failure says is who was lost; how it came to that is said here.
    fn drop(&mut self) {
        if thread::panicking() {
            println!("To do the same again: {self} make test-chaos");
        }
    }
}

fn pause(random: &mut StdRng) -> Duration {
    Duration::from_millis(random.random_range(0..=PAUSE))
}

fn victims(random: &mut StdRng) -> Vec<&'static str> {
    let count = if random.random_bool(PAIRS) { 2 } else { 1 };
    PARTS.choose_multiple(random, count).copied().collect()
}

/// Sends some of all messages again, as they come, until the end; says how many it were.
async fn send_some_twice(topic: Topic, mut random: StdRng, end: CancellationToken) -> usize {
    let messages = topic.messages();
    let mut count = 0;
    while let Some(message) = end.run_until_cancelled(messages.recv()).await {
        // While Kafka is down there is none.
        if let Ok(message) = message
            && random.random_bool(DUPLICATED)
        {
            topic.send_again(&message.detach()).await;
            count += 1;
        }
    }
    count
}

/// What was done, and what came of it.
#[derive(Default)]
struct Done {
    orders: Orders,
    kills: BTreeMap<&'static str, usize>,
    duplicates: usize,
    in_flight: HashSet<Mail>,
    dead_letters: usize,
}

impl Done {
    async fn print(&self, database: &Database) {
        let (accepted, failures) = (self.orders.accepted.len(), self.orders.failures.len());
        println!("{accepted} orders accepted, with {failures} attempts that failed before");
        let statuses = database.statuses().await.expect("the statuses");
        for wanted in ["confirmed", "cancelled"] {
            let count = statuses.values().filter(|status| *status == wanted).count();
            println!("{count} orders {wanted}");
        }
        println!("{} dead letters, replayed", self.dead_letters);
        for (part, count) in &self.kills {
            println!("{count} times {part} was killed");
        }
        println!("{} messages sent twice", self.duplicates);
        let doubled = database.doubled_mails().await.expect("the mails").len();
        let in_flight = self.in_flight.len();
        println!("{doubled} mails sent twice, of {in_flight} that were in flight at a kill");
    }
}
