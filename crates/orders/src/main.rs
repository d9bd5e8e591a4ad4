//! Starts the orders service; wiring only.

use std::{process::ExitCode, time::Duration};

use anyhow::Context;
use clap::value_parser;
use domain::attributes;
use messaging::Instrumentation;
use orders::{AppState, Publisher, idempotency};
use service::{KafkaArgs, Listen, PostgresArgs};
use tokio::{
    task::JoinSet,
    time::{Instant, timeout_at},
};
use tokio_util::sync::CancellationToken;
use tracing::warn;

/// How long requests in flight may take after SIGTERM.
const DRAIN: Duration = Duration::from_secs(5);
/// How long everything but the flush of the last spans may take after SIGTERM: the requests, then the last events. The
/// flush takes up to 2 s more, which makes 10 s at most: as long as Docker waits before SIGKILL.
const END: Duration = Duration::from_millis(7_500);

/// Creates and lists orders, owns their status, publishes `order.created`.
#[derive(Debug, clap::Parser)]
struct Config {
    #[command(flatten)]
    listen: Listen,
    #[command(flatten)]
    postgres: PostgresArgs,
    #[command(flatten)]
    kafka: KafkaArgs,
    /// For how many hours the Idempotency-Key of an order is remembered; a year at most.
    #[arg(
        long,
        env = "IDEMPOTENCY_KEY_HOURS",
        default_value_t = 24,
        value_parser = value_parser!(u32).range(1..=8_760)
    )]
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

    // Cancelled after the last request, since its event may still be sent.
    let background = CancellationToken::new();
    let mut tasks = JoinSet::new();
    let publish = state
        .publisher
        .clone()
        .run(database.clone(), background.clone());
    tasks.spawn(async { publish.await.context("events cannot be published") });
    let forget = idempotency::forget_expired_keys(database, state.key_lifetime, background.clone());
    tasks.spawn(async {
        forget.await;
        Ok(())
    });
    let tasks = tokio::spawn(join(tasks, shutdown.clone()));

    let app = service::app(orders::router(state.clone()), state);
    let serve = service::serve_with_drain(listener, app, shutdown.clone(), DRAIN);
    let asked = async {
        shutdown.cancelled().await;
        Ok(Instant::now())
    };
    let ((), asked) = tokio::try_join!(serve, asked)?;
    background.cancel();
    match timeout_at(asked + END, tasks).await {
        Ok(ended) => ended?,
        Err(_) => {
            warn!("background tasks did not end within {END:?} of the shutdown and are cut off");
            Ok(())
        }
    }
}

/// Waits until all background tasks have ended. The first that ends, by itself, with an error or with a panic, cancels
/// `shutdown`: without it the program would go on as if all were well.
async fn join(
    mut tasks: JoinSet<anyhow::Result<()>>,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let mut result = Ok(());
    while let Some(ended) = tasks.join_next().await {
        shutdown.cancel();
        let ended = ended.unwrap_or_else(|panic| Err(panic.into()));
        result = result.and(ended);
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_task_that_panics_shuts_the_program_down_with_an_error() {
        let shutdown = CancellationToken::new();
        let mut tasks = JoinSet::new();
        tasks.spawn(async { panic!("on purpose") });
        // Ends as the other tasks do: when it is asked to.
        let asked = shutdown.clone();
        tasks.spawn(async move {
            asked.cancelled().await;
            Ok(())
        });
        let error = join(tasks, shutdown).await.unwrap_err();
        assert!(error.to_string().contains("on purpose"), "{error}");
    }
}
