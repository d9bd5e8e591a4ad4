//! The faults of a run: processes that are killed, and processes that are frozen for 5 to 20 s.
//!
//! Faults come in rounds, one round after the other, each drawn from the seed. PostgreSQL is killed and never frozen: a
//! SIGSTOP would freeze its main process and none of those that run the statements.

use std::{
    collections::{BTreeMap, HashSet},
    time::{Duration, Instant, SystemTime},
};

use e2e::{connected::Kill, history::Mail, shop::Shop};
use rand::{Rng, rngs::StdRng, seq::IndexedRandom};
use serde_json::Value;
use tokio::time::sleep;

use crate::faults::kills::{PARTS, kill, mails_in_flight, start_again};

/// The share of rounds with two faults at once.
const PAIRS: f64 = 0.25;
/// The share of rounds in which a process is frozen.
const FREEZES: f64 = 0.4;
/// How long a process is frozen, in milliseconds. A member of the worker's group is expelled after 6 s.
const FREEZE: std::ops::RangeInclusive<u64> = 5_000..=20_000;
/// The pause before a round, and between a kill and the new start, in milliseconds.
const PAUSE: std::ops::RangeInclusive<u64> = 0..=3_000;

/// The orders service that relays the outbox at the moment.
const RELAY: &str = "the relay's holder";
/// What can be frozen. The relay's holder and the workers are frozen more often than others: they have locks and sessions
/// that expire.
const FREEZABLE: [&str; 13] = [
    RELAY,
    RELAY,
    RELAY,
    "worker",
    "worker",
    "worker-2",
    "Kafka",
    "orders",
    "orders-2",
    "inventory",
    "email",
    "gateway",
    "gateway-2",
];

/// The faults to come, for people.
pub(crate) fn plan() -> String {
    let mut frozen = FREEZABLE.to_vec();
    frozen.dedup();
    format!(
        "Rounds of faults: {} % with a freeze, the others with a kill; {} % with two faults\n\
         Frozen for 5 to 20 s: {}\n\
         Killed: {}",
        FREEZES * 100.0,
        PAIRS * 100.0,
        frozen.join(", "),
        PARTS.join(", ")
    )
}

/// Faults that come at once.
#[derive(Debug)]
struct Round {
    killed: Vec<&'static str>,
    frozen: Option<&'static str>,
    lasts: Duration,
}

/// Injects the faults, and counts them.
pub(crate) struct Nemesis {
    random: StdRng,
    started: Instant,
    /// How often each fault came.
    pub(crate) count: BTreeMap<String, usize>,
    /// The kills of services.
    pub(crate) kills: Vec<Kill>,
    /// The mails in the window in which `email` may send them twice.
    pub(crate) in_window: HashSet<Mail>,
}

impl Nemesis {
    pub(crate) fn new(random: StdRng) -> Self {
        Self {
            random,
            started: Instant::now(),
            count: BTreeMap::new(),
            kills: Vec::new(),
            in_window: HashSet::new(),
        }
    }

    /// Runs one round after the other for this long.
    pub(crate) async fn run_for(&mut self, shop: &mut Shop, duration: Duration) {
        while self.started.elapsed() < duration {
            sleep(milliseconds(&mut self.random, PAUSE)).await;
            let round = Round::draw(&mut self.random);
            self.run(shop, &round).await;
        }
    }

    /// Kills and freezes at the same time. All that is frozen goes on before what was killed is started: a start may
    /// need it.
    async fn run(&mut self, shop: &mut Shop, round: &Round) {
        if round.killed.contains(&"PostgreSQL") {
            // A claim may be taken over as soon as PostgreSQL is back, before the claims can be read again.
            self.in_window.extend(mails_in_flight(shop).await);
        }
        for part in &round.killed {
            self.note_kill(part);
            kill(shop, part);
        }
        let frozen = match round.frozen {
            Some(RELAY) => Some(relays(shop).await),
            other => other,
        };
        if let (Some(part), Some(named)) = (frozen, round.frozen) {
            let named = if named == part {
                String::new()
            } else {
                format!(", {named}")
            };
            self.tell(
                &format!("freeze {part}{named}"),
                &format!(" for {:.1?}", round.lasts),
            );
            freeze(shop, part, true);
        }
        sleep(round.lasts).await;
        if let Some(part) = frozen {
            // While email stands still, its claims do as well. Without PostgreSQL they are read at its new start.
            if part == "email" && !round.killed.contains(&"PostgreSQL") {
                self.in_window.extend(mails_in_flight(shop).await);
            }
            freeze(shop, part, false);
            self.say(&format!("{part} goes on"));
        }
        self.in_window
            .extend(start_again(shop, &round.killed).await);
        if !round.killed.is_empty() {
            self.say(&format!("{} started again", round.killed.join(" and ")));
        }
    }

    fn note_kill(&mut self, part: &str) {
        self.tell(&format!("kill {part}"), "");
        let at = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let at = at.expect("a clock that is set").as_nanos();
        self.kills.push(Kill {
            service: part.trim_end_matches("-2").to_owned(),
            at: u64::try_from(at).expect("a time before 2554"),
        });
    }

    fn tell(&mut self, fault: &str, how: &str) {
        self.say(&format!("{fault}{how}"));
        *self.count.entry(fault.to_owned()).or_default() += 1;
    }

    fn say(&self, what: &str) {
        println!("{:7.1} s  {what}", self.started.elapsed().as_secs_f64());
    }
}

impl Round {
    fn draw(random: &mut StdRng) -> Self {
        let is_pair = random.random_bool(PAIRS);
        if !random.random_bool(FREEZES) {
            let count = if is_pair { 2 } else { 1 };
            return Self {
                killed: PARTS.choose_multiple(random, count).copied().collect(),
                frozen: None,
                lasts: milliseconds(random, PAUSE),
            };
        }
        let frozen = *FREEZABLE.choose(random).expect("parts");
        let others: Vec<_> = PARTS
            .into_iter()
            .filter(|part| *part != frozen && !(frozen == RELAY && part.starts_with("orders")))
            .collect();
        let count = if is_pair { 1 } else { 0 };
        Self {
            killed: others.choose_multiple(random, count).copied().collect(),
            frozen: Some(frozen),
            lasts: milliseconds(random, FREEZE),
        }
    }
}

/// Which orders service relays. While none says so, the first one will do.
async fn relays(shop: &Shop) -> &'static str {
    for part in ["orders-2", "orders"] {
        let url = format!("{}/readyz", shop.stack.url(part));
        let client = reqwest::Client::builder().no_proxy().build();
        let answer = client.expect("a client").get(url).send().await;
        let Ok(answer) = answer else { continue };
        let report: Value = answer.json().await.unwrap_or_default();
        if report["details"]["outbox"] == "active" {
            return part;
        }
    }
    "orders"
}

/// SIGSTOP or SIGCONT.
fn freeze(shop: &mut Shop, part: &str, freeze: bool) {
    let process = match part {
        "Kafka" => shop.stack.kafka().process(),
        service => shop.stack.service(service).process(),
    };
    if freeze {
        process.pause();
    } else {
        process.resume();
    }
}

fn milliseconds(random: &mut StdRng, range: std::ops::RangeInclusive<u64>) -> Duration {
    Duration::from_millis(random.random_range(range))
}
