//! Starts the orders service; wiring only.

use std::{process::ExitCode, time::Duration};

use anyhow::Context;
use domain::attributes;
use messaging::Instrumentation;
use orders::{AppState, Publisher, idempotency};
use service::{KafkaArgs, Listen, PostgresArgs};
use tokio_util::sync::CancellationToken;

/// At the end requests get five seconds and the last events two. With two for the last spans this
/// makes nine, less than Docker and others leave between SIGTERM and SIGKILL.
const DRAIN: Duration = Duration::from_secs(5);

/// Creates and lists orders, owns their status, publishes `order.created`.
#[derive(Debug, clap::Parser)]
struct Config {
    #[command(flatten)]
    listen: Listen,
    #[command(flatten)]
    postgres: PostgresArgs,
    #[command(flatten)]
    kafka: KafkaArgs,
    /// For how many hours the Idempotency-Key of an order is remembered.
    #[arg(long, env = "IDEMPOTENCY_KEY_HOURS", default_value_t = 24)]
    idempotency_key_hours: u32,
}

/// An order is thousands of small allocations that live for some milliseconds; jemalloc makes them cheaper. Its settings
/// are in `.cargo/config.toml`.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    let service = telemetry::Service {
        name: "orders",
        namespace: "orderflow",
        version: env!("CARGO_PKG_VERSION"),
        baggage_attributes: &[attributes::ORDER_ID],
        trust_remote_sampling: true,
    };
    service::run(service, start)
}

async fn start(config: Config, shutdown: CancellationToken) -> anyhow::Result<()> {
    let database = config.postgres.connect("orders")?;
    let kafka = config.kafka.client_config(env!("CARGO_PKG_NAME"));
    let spans = Instrumentation::new(&kafka);
    let state = AppState {
        database: database.clone(),
        publisher: Publisher::new(kafka, spans),
        key_lifetime: Duration::from_secs(3_600) * config.idempotency_key_hours,
    };
    let listener = config.listen.bind().await?;

    // Ends after the last request, whose event may still go out.
    let background = CancellationToken::new();
    let publishing = state
        .publisher
        .clone()
        .run(database.clone(), background.clone());
    let publishing = tokio::spawn(publishing);
    let forgetting =
        idempotency::forget_expired_keys(database, state.key_lifetime, background.clone());
    tokio::spawn(forgetting);

    let app = service::app(orders::router(state.clone()), state);
    service::serve_with_drain(listener, app, shutdown, DRAIN).await?;
    background.cancel();
    publishing.await?.context("events cannot be published")
}
