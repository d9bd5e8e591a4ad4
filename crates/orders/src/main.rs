//! Starts the orders service; wiring only.

use std::{process::ExitCode, time::Duration};

use orders::{AppState, Publisher, publish::SEND_TIMEOUT};
use service::{Listen, PostgresArgs};
use tokio_util::sync::CancellationToken;

/// At the end requests get five seconds and the last events three. With two for the last spans this
/// makes ten, the time that Docker and others leave between SIGTERM and SIGKILL.
const DRAIN: Duration = Duration::from_secs(5);
const LAST_EVENTS: Duration = Duration::from_secs(3);

/// Creates and lists orders, owns their status, publishes `order.created`.
#[derive(Debug, clap::Parser)]
struct Config {
    #[command(flatten)]
    listen: Listen,
    #[command(flatten)]
    postgres: PostgresArgs,
    /// The Kafka brokers to start from, `host:port`, separated by commas.
    #[arg(long, env = "KAFKA_BROKERS")]
    kafka_brokers: String,
}

fn main() -> ExitCode {
    let service = telemetry::Service {
        name: "orders",
        namespace: "orderflow",
        version: env!("CARGO_PKG_VERSION"),
        baggage_attributes: &["order.id"],
        trust_remote_sampling: true,
    };
    service::run(service, start)
}

async fn start(config: Config, shutdown: CancellationToken) -> anyhow::Result<()> {
    let database = config.postgres.connect("orders")?;
    let publisher = Publisher::connect(config.kafka_brokers, SEND_TIMEOUT)?;
    let state = AppState {
        database,
        publisher: publisher.clone(),
    };
    let listener = config.listen.bind().await?;
    tokio::spawn(publisher.clone().create_topic(shutdown.clone()));
    let app = service::app(orders::router(state.clone()), state);
    service::serve_with_drain(listener, app, shutdown, DRAIN).await?;
    publisher.finish(LAST_EVENTS).await;
    Ok(())
}
