//! Kills, freezes and duplicates at random, for as long as you like: `make test-chaos`.
//!
//! Two gateways, two orders services and two workers run. New customers order at a steady rate (`CHAOS_RATE`, each
//! second) and retry until they have a 201. Meanwhile processes are killed or frozen ([`nemesis`]), and some of the
//! messages are sent a second time. Every client records every request with its outcome ([`clients`]).
//!
//! After `CHAOS_SECONDS` the system comes to rest. Then
//! 1. the database must add up, as without any fault (`database.rs`);
//! 2. the history must obey the rules of [`e2e::history`];
//! 3. the trace of each sampled order, 5 % of all, must be one connected tree ([`e2e::connected`]).
//!
//! `CHAOS_SEED` decides which faults come, and when. A run with the same seed does the same to the system; what the
//! system is in the middle of is up to the machine. The history of the last run is in `history.txt` in the shop's
//! directory.

mod clients;
mod nemesis;

use std::{
    collections::{BTreeMap, HashSet},
    env, fmt, fs, thread,
    time::Duration,
};

use e2e::{
    connected::holes,
    history::{Entry, History, Level, Mail, Outcome, Request},
    receiver::Traces,
    shop::{Placed, Shop},
};
use opentelemetry::trace::{SpanKind, TraceId};
use opentelemetry_sdk::trace::{Sampler, SamplingDecision, ShouldSample};
use rand::{Rng, SeedableRng, rngs::StdRng};
use tokio_util::sync::CancellationToken;

use self::{
    clients::{Accepted, Clients, Doors},
    nemesis::Nemesis,
};
use crate::{
    database::Database,
    support::{REST, own},
    topic::Topic,
};

/// The share of messages that are sent twice.
const DUPLICATED: f64 = 0.05;
/// The share of orders that are traced.
const TRACED: f64 = 0.05;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes ten minutes"]
async fn nothing_is_lost_and_nothing_happens_twice() {
    let plan = Plan::from_environment();
    plan.print();
    let mut shop = own("chaos", |opening| {
        opening.optimized().with(|stack| {
            stack
                .env_everywhere("OTEL_TRACES_SAMPLER", "parentbased_traceidratio")
                .env_everywhere("OTEL_TRACES_SAMPLER_ARG", TRACED.to_string())
                // An export that a freeze interrupts is not to fail by its age.
                .env_everywhere("OTEL_EXPORTER_OTLP_TIMEOUT", "120000")
                .env_everywhere("OTEL_BSP_EXPORT_TIMEOUT", "120000")
        })
    })
    .await;
    add_replicas(&mut shop).await;
    let (database, topic) = (Database::of(&shop), Topic::at(shop.stack.brokers()));
    let gateways = ["gateway", "gateway-2"].map(|gateway| shop.customer_at(gateway));
    let doors = Doors::of(gateways.to_vec());
    let stock = doors.read_stock().await.expect("the stock at the start");
    let clients = Clients::start(&doors, plan.orders_each_second);
    let end = CancellationToken::new();
    let duplicating = tokio::spawn(send_some_twice(topic.clone(), plan.random(), end.clone()));

    let mut nemesis = Nemesis::new(plan.random());
    nemesis.run_for(&mut shop, plan.duration).await;
    let accepted = clients.end().await;
    end.cancel();
    let duplicates = duplicating.await.expect("no panic");
    write(&shop, &doors.recorder.entries());
    let accepted = accepted.expect("a 201 for each customer");

    println!("The system comes to rest.");
    let dead_letters = replay_dead_letters(&shop, &topic).await;
    let orders: Vec<Placed> = accepted.iter().map(|order| order.placed.clone()).collect();
    database.expect_at_rest(&orders, &nemesis.in_window).await;
    let listed = doors.walk(usize::MAX).await;
    assert_eq!(listed, accepted.len(), "one order for each customer");
    doors.read_stock().await.expect("the stock at the end");

    let mails = database.sent_mails().await.expect("the mails");
    let history = history(&doors, stock, mails, &nemesis.in_window);
    let violations = history.violations();
    assert!(violations.is_empty(), "{}", violations.join("\n"));
    let traced: Vec<_> = accepted.iter().filter(|order| is_traced(order)).collect();
    let excused = expect_connected(&shop, &traced, &nemesis).await;

    print_requests(&history.entries);
    print_statuses(&database).await;
    println!(
        "{} orders traced, {excused} of them with holes that kills excuse",
        traced.len()
    );
    for (fault, count) in &nemesis.count {
        println!("{count} times: {fault}");
    }
    println!("{duplicates} messages sent twice; {dead_letters} dead letters, replayed");
    let doubled = database.doubled_mails().await.expect("the mails").len();
    let in_window = nemesis.in_window.len();
    println!(
        "{doubled} mails sent twice, of {in_window} that were claimed and not marked at a fault"
    );
}

/// A second instance of each service that scales out. The second gateway and the second worker ask the second orders
/// service; there is no load balancer.
async fn add_replicas(shop: &mut Shop) {
    let stack = &mut shop.stack;
    let started = stack.add_replica("orders", "orders-2", &[]).await;
    started.expect("a second orders service");
    let to_it = (
        "ORDERS_SERVICE_URL".to_owned(),
        stack.url("orders-2").into(),
    );
    for (of, name) in [("worker", "worker-2"), ("gateway", "gateway-2")] {
        let started = stack
            .add_replica(of, name, std::slice::from_ref(&to_it))
            .await;
        started.unwrap_or_else(|error| panic!("no {name}: {error:#}"));
    }
}

/// Waits until all messages are done, replays what was dead-lettered, and waits again.
async fn replay_dead_letters(shop: &Shop, topic: &Topic) -> usize {
    topic.expect_waiting(0).await;
    let count = topic.dead_letters().await.expect("the dead letters").len();
    if count > 0 {
        let replay = ["dlq", "replay", "--all"];
        shop.orderflow(&replay).await.expect("a replay");
        topic.expect_waiting(0).await;
    }
    count
}

fn history(
    doors: &Doors,
    stock: Vec<Level>,
    mails: Vec<Mail>,
    in_window: &HashSet<Mail>,
) -> History {
    History {
        entries: doors.recorder.entries(),
        stock,
        mails,
        in_window: in_window.iter().cloned().collect(),
    }
}

/// Writes a line for each entry, to be read after a failure.
fn write(shop: &Shop, entries: &[Entry]) {
    let path = shop.directory.join("history.txt");
    let lines: Vec<_> = entries.iter().map(|entry| format!("{entry:?}")).collect();
    fs::write(&path, lines.join("\n")).expect("a file for the history");
    println!("{} entries are in {}", lines.len(), path.display());
}

/// Whether the gateway has sampled the order: its sampler decides by the trace id alone.
fn is_traced(order: &Accepted) -> bool {
    let trace = TraceId::from_hex(&order.placed.trace).expect("a trace id");
    let sampler = Sampler::TraceIdRatioBased(TRACED);
    let sampled = sampler.should_sample(None, trace, "POST /orders", &SpanKind::Server, &[], &[]);
    sampled.decision == SamplingDecision::RecordAndSample
}

/// Waits until the trace of each order is a connected tree. Answers with how many have holes that a kill excuses.
async fn expect_connected(shop: &Shop, orders: &[&Accepted], nemesis: &Nemesis) -> usize {
    let complaints = |traces: &Traces, kills| {
        let mut complaints = BTreeMap::new();
        for order in orders {
            let placed = &order.placed;
            let spans = traces.get(&placed.trace).map_or(&[][..], Vec::as_slice);
            let holes = holes(spans, order.requested, kills);
            if !holes.is_empty() {
                let of = format!("order {}, trace {}", placed.id, placed.trace);
                complaints.insert(of, holes);
            }
        }
        complaints
    };
    let mut wrong = BTreeMap::new();
    let connected = shop.receiver.wait_for(REST, |traces| {
        wrong = complaints(traces, &nemesis.kills);
        wrong.is_empty().then(|| complaints(traces, &[]).len())
    });
    let connected = connected.await;
    connected.unwrap_or_else(|| panic!("{} traces have holes: {wrong:#?}", wrong.len()))
}

/// How many requests of each kind there were, and how many of them failed in which way.
fn print_requests(entries: &[Entry]) {
    fn kind<T>(outcome: &Outcome<T>) -> String {
        match outcome {
            Outcome::Answered(_) => "answered".to_owned(),
            Outcome::Refused(status) => format!("answered with {status}"),
            Outcome::Unknown(_) => "without an answer".to_owned(),
        }
    }
    let mut counts: BTreeMap<(&str, String), usize> = BTreeMap::new();
    for entry in entries {
        let kind = match &entry.request {
            Request::Place { outcome, .. } => ("POST /orders", kind(outcome)),
            Request::Get { outcome, .. } => ("GET /orders/{id}", kind(outcome)),
            Request::List { outcome } => ("GET /orders", kind(outcome)),
            Request::Stock { outcome } => ("GET /inventory/stock", kind(outcome)),
        };
        *counts.entry(kind).or_default() += 1;
    }
    for ((request, outcome), count) in counts {
        println!("{count} × {request} {outcome}");
    }
}

async fn print_statuses(database: &Database) {
    let statuses = database.statuses().await.expect("the statuses");
    for wanted in ["confirmed", "cancelled"] {
        let count = statuses.values().filter(|status| *status == wanted).count();
        println!("{count} orders {wanted}");
    }
}

/// What is to be done, and for how long.
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

    fn print(&self) {
        let (rate, seconds) = (self.orders_each_second, self.duration.as_secs());
        println!("{self}");
        println!(
            "{rate} orders a second for {seconds} s, at two gateways before two orders services"
        );
        println!("{} % of the orders are traced", TRACED * 100.0);
        println!("{} % of the messages are sent twice", DUPLICATED * 100.0);
        println!("{}", nemesis::plan());
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
    /// Prints the command that does the same to the system again.
    fn drop(&mut self) {
        if thread::panicking() {
            println!("To replay: {self} make test-chaos");
        }
    }
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
