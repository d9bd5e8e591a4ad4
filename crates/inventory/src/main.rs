//! Starts the inventory service; wiring only.

use std::process::ExitCode;

use inventory::AppState;
use service::{Faults, Listen, PostgresArgs};
use tokio_util::sync::CancellationToken;

/// Stock levels, and which order holds how much of which item.
#[derive(Debug, clap::Parser)]
struct Config {
    #[command(flatten)]
    listen: Listen,
    #[command(flatten)]
    postgres: PostgresArgs,
    #[command(flatten)]
    faults: Faults,
}

fn main() -> ExitCode {
    let service = telemetry::Service {
        name: "inventory",
        namespace: "orderflow",
        version: env!("CARGO_PKG_VERSION"),
        baggage_attributes: &["order.id"],
        trust_remote_sampling: true,
    };
    service::run(service, start)
}

async fn start(config: Config, shutdown: CancellationToken) -> anyhow::Result<()> {
    let database = config.postgres.connect("inventory")?;
    let listener = config.listen.bind().await?;
    let routes = inventory::router(AppState {
        database: database.clone(),
    });
    let app = service::app(config.faults.apply(routes), database);
    service::serve(listener, app, shutdown).await?;
    Ok(())
}
