//! A whole service: one route, and everything that this crate puts around it.
//!
//! ```sh
//! PORT=8090 POSTGRES_URL=postgres://me@127.0.0.1/me cargo run -p service --example minimal
//! curl 127.0.0.1:8090/after/5000
//! ```
//!
//! Press Ctrl-C while curl waits: the answer still comes, and then the program ends. Press it twice,
//! and it ends at once. Leave a variable out, and it says which.

use std::{process::ExitCode, time::Duration};

use axum::{Router, routing::get};
use service::{Json, Listen, Path, PostgresArgs};
use tokio_util::sync::CancellationToken;

/// Answers after so many milliseconds.
#[derive(Debug, clap::Parser)]
struct Config {
    #[command(flatten)]
    listen: Listen,
    #[command(flatten)]
    postgres: PostgresArgs,
}

fn main() -> ExitCode {
    let service = telemetry::Service {
        name: "minimal",
        namespace: "examples",
        version: env!("CARGO_PKG_VERSION"),
        baggage_attributes: &[],
        trust_remote_sampling: true,
    };
    service::run(service, start)
}

async fn start(config: Config, shutdown: CancellationToken) -> anyhow::Result<()> {
    let database = config.postgres.connect("public")?;
    let listener = config.listen.bind().await?;
    let routes = Router::new().route("/after/{milliseconds}", get(answer_after));
    service::serve(listener, service::app(routes, database), shutdown).await?;
    Ok(())
}

async fn answer_after(Path(milliseconds): Path<u64>) -> Json<&'static str> {
    tracing::info!(milliseconds, "waiting");
    tokio::time::sleep(Duration::from_millis(milliseconds)).await;
    Json("here I am")
}
