//! The core of several consumers against a simulated broker, with one seed for everything that is random.
//!
//! A [`World`](world::World) has virtual time and a queue of events. It drives real [`Core`](super::Core)s through
//! rebalances at any point, lost partitions, crashes, broker outages, truncated topics, and handlers that are slow,
//! hang, fail or panic. After the last fault it lets everything run to its end. `checks` holds it to the invariants of
//! docs/simulation.md. The `process` spans are made by the crate `messaging` as in `run.rs`.
//!
//! What the simulation does not show: anything in `run.rs` and `kafka.rs`, and librdkafka itself. Those are tested
//! against librdkafka's in-process cluster and against Apache Kafka.

mod broker;
mod checks;
mod world;

use std::{env, panic};

use world::World;

/// How many seeds `make test` runs; `make test-simulation SEEDS=…` runs more.
const SEEDS: u64 = 200;

/// A number from the environment; `None` if the variable is not set.
fn from_env(name: &str) -> Option<u64> {
    let text = env::var(name).ok()?;
    let number = text.parse();
    Some(number.unwrap_or_else(|_| panic!("{name} must be a number, not {text:?}")))
}

#[test]
fn the_invariants_hold_for_every_seed() {
    let only = from_env("SIMULATION_SEED");
    let count = from_env("SEEDS").unwrap_or(SEEDS);
    let seeds = only.map_or(0..count, |seed| seed..seed + 1);
    for seed in seeds {
        let outcome = panic::catch_unwind(|| World::new(seed).run());
        if let Err(panic) = outcome {
            eprintln!(
                "The simulation failed with seed {seed}. To replay it:\n    \
                 SIMULATION_SEED={seed} cargo test -p delivery --lib simulation::the_invariants -- --nocapture"
            );
            panic::resume_unwind(panic);
        }
    }
}

#[test]
fn a_replay_is_identical() {
    for seed in [0, 7, 4_711] {
        let [first, second] = [(); 2].map(|()| World::new(seed).run());
        assert!(first.len() > 100, "seed {seed}: {} events", first.len());
        assert_eq!(first, second, "seed {seed}");
    }
}

/// Every kind of fault happens within a few seeds, so the invariants are held under all of them.
#[test]
fn the_faults_do_happen() {
    let all: Vec<_> = (0..30).flat_map(|seed| World::new(seed).run()).collect();
    for fault in [
        "revoked",
        "lost",
        "crash",
        "broker down",
        "truncated",
        "hangs",
        "panics",
        "letter written",
        "cancelled",
        "stopped",
        "letter refused",
        "duplicate",
    ] {
        assert!(
            all.iter().any(|line| line.contains(fault)),
            "{fault} never happened"
        );
    }
}
