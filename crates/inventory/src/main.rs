//! Starts the inventory service; wiring only.

use std::process::ExitCode;

use domain::attributes;
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

/// An order is thousands of small allocations that live for some milliseconds; jemalloc makes them cheaper. Its settings
/// are in `.cargo/config.toml`.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    let service = telemetry::Service {
        name: "inventory",
        namespace: "orderflow",
        version: env!("CARGO_PKG_VERSION"),
        baggage_attributes: &[attributes::ORDER_ID],
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
