//! What a person sees when all is ready: what runs where, and what to try next.

use std::{env, fmt::Display, io::Write, time::Duration};

use orderflow::postgres;

use super::{BrokerKind, home::Home, journal::State};

/// Prints a line. That nobody reads on, as with `| head`, is no reason to stop.
pub(crate) fn say(line: impl Display) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// The last that `up` prints.
pub(crate) fn print(home: &Home, state: &State, took: Duration) {
    say(format_args!(
        "\nOrderFlow is up, after {:.1} s.\n",
        took.as_secs_f64()
    ));
    for part in &state.parts {
        say(format_args!(
            "  {:<11} {:<24} {}",
            part.name,
            part.address,
            about(&part.name)
        ));
    }
    if state.broker == BrokerKind::Memory {
        say(format_args!(
            "\nThe broker is librdkafka's imitation, in memory: what is in it is lost at its end, and of\n\
             more than 5 MiB a partition the oldest is dropped without a word. It has no transactions."
        ));
    }
    say("\nTry next:");
    let us = env::args().next().unwrap_or_else(|| "orderflow".to_owned());
    for (command, what) in [
        ("./scripts/generate-traffic.sh", "place orders"),
        ("open http://localhost:16686", "look at their traces"),
        (&format!("{us} trace <order id>"), "one of them, as text"),
        (
            &format!("{us} status"),
            "what runs, and whether it is ready",
        ),
        (&format!("{us} logs worker"), "what it has to say"),
        ("make all-down", "stop everything; the data stays"),
    ] {
        say(format_args!("  {command:<42} {what}"));
    }
    let database = postgres::data_directory(&home.path().join("postgres"));
    say(format_args!(
        "\nLogs and data are in {}, the database's passwords in {}.",
        home.path().display(),
        database.display()
    ));
}

fn about(part: &str) -> &'static str {
    match part {
        "PostgreSQL" => "the database orderflow",
        "Kafka" => "the topic order.created",
        "viewer" => "traces, and Jaeger's API; takes OTLP on 4317 and 4318",
        "orders" => "takes and lists orders",
        "inventory" => "stock",
        "email" => "sends mails, or says so",
        "worker" => "handles orders as they come through Kafka",
        "gateway" => "the public door: POST /orders",
        _ => "",
    }
}
