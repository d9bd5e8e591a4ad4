//! Starts the gateway; wiring only.

use std::process::ExitCode;

use gateway::GatewayArgs;
use service::Listen;
use tokio_util::sync::CancellationToken;

/// The public door: forwards, sets limits and deadlines, answers with the trace id.
#[derive(Debug, clap::Parser)]
struct Config {
    #[command(flatten)]
    listen: Listen,
    #[command(flatten)]
    gateway: GatewayArgs,
}

/// An order is thousands of small allocations that live for some milliseconds; jemalloc makes them cheaper. Its settings
/// are in `.cargo/config.toml`.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    let service = telemetry::Service {
        name: "gateway",
        namespace: "orderflow",
        version: env!("CARGO_PKG_VERSION"),
        // Nothing arrives with an order's id: the gateway is where orders come from.
        baggage_attributes: &[],
        trust_remote_sampling: false,
    };
    service::run(service, start)
}

async fn start(config: Config, shutdown: CancellationToken) -> anyhow::Result<()> {
    let app = gateway::app(config.gateway)?;
    let listener = config.listen.bind().await?;
    service::serve(listener, app, shutdown).await?;
    Ok(())
}
