//! What a person sees when all is ready: what runs where, and what to try next.

use std::{env, time::Duration};

use orderflow::postgres;

use super::{BrokerKind, home::Home, journal::State};

/// The last that `up` prints.
pub(crate) fn print(home: &Home, state: &State, took: Duration) {
    println!("\nOrderFlow is up, after {:.1} s.\n", took.as_secs_f64());
    for part in &state.parts {
        println!(
            "  {:<11} {:<24} {}",
            part.name,
            part.address,
            about(&part.name)
        );
    }
    if state.broker == BrokerKind::Memory {
        println!(
            "\nThe broker is librdkafka's imitation, in memory: what is in it is lost at its end, and of\n\
             more than 5 MiB a partition the oldest is dropped without a word. It has no transactions."
        );
    }
    let us = env::args().next().unwrap_or_else(|| "orderflow".to_owned());
    let database = postgres::data_directory(&home.path().join("postgres"));
    println!(
        "\nTry next:\n\
         \x20 ./scripts/generate-traffic.sh      place orders\n\
         \x20 open http://localhost:16686        look at their traces\n\
         \x20 {us} trace <order id>     one of them, as text\n\
         \x20 {us} status               what runs, and whether it is ready\n\
         \x20 {us} logs worker          what it has to say\n\
         \x20 make all-down                      stop everything; the data stays\n\n\
         Logs and data are in {}, the database's password in {}.",
        home.path().display(),
        database.join("password").display()
    );
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
