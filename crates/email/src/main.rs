//! Starts the email service; wiring only.

use std::{process::ExitCode, time::Duration};

use domain::attributes;
use email::{AppState, Delay, Mailer};
use service::{Faults, Listen, PostgresArgs};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// How long requests in flight may take after SIGTERM.
const DRAIN: Duration = Duration::from_secs(6);
/// How long the mails whose clients have disconnected may take after that: seven seconds in all, as in every service.
const LAST_MAILS: Duration = Duration::from_secs(1);

/// Sends the mail, once for each order and kind.
#[derive(Debug, clap::Parser)]
struct Config {
    #[command(flatten)]
    listen: Listen,
    #[command(flatten)]
    postgres: PostgresArgs,
    #[command(flatten)]
    delay: Delay,
    #[command(flatten)]
    faults: Faults,
}

/// An order is thousands of small allocations that live for some milliseconds; jemalloc makes them cheaper. Its settings
/// are in `.cargo/config.toml`.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    let service = telemetry::Service {
        name: "email",
        namespace: "orderflow",
        version: env!("CARGO_PKG_VERSION"),
        baggage_attributes: &[attributes::ORDER_ID],
        trust_remote_sampling: true,
    };
    service::run(service, start)
}

async fn start(config: Config, shutdown: CancellationToken) -> anyhow::Result<()> {
    let database = config.postgres.connect("email")?;
    let mailer = Mailer::new(database.clone(), config.delay);
    let routes = email::router(AppState {
        mailer: mailer.clone(),
    });
    let app = service::app(config.faults.apply(routes), database);
    let listener = config.listen.bind().await?;
    service::serve_with_drain(listener, app, shutdown, DRAIN).await?;
    if timeout(LAST_MAILS, mailer.finish()).await.is_err() {
        tracing::warn!("mails were left half-sent: their claims will be taken over");
    }
    Ok(())
}
