//! Wiring: configuration, log, ports, signals.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use trace_viewer::{Config, Viewer};
use tracing_subscriber::EnvFilter;

/// How long open requests may take after the signal.
const DRAIN: Duration = Duration::from_secs(5);

#[tokio::main]
async fn main() -> ExitCode {
    let config = Config::read();
    log_to_stderr(config.log_json);
    match run(&config).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(config: &Config) -> anyhow::Result<()> {
    // Before the viewer says that it is ready: until then a signal ends the process at once.
    let mut terminate = signal(SignalKind::terminate()).context("SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("SIGINT")?;
    let viewer = Viewer::bind(config).await?;
    tracing::info!(
        page = %format_args!("http://{}/", viewer.page_address()?),
        otlp_grpc = %viewer.otlp_grpc_address()?,
        otlp_http = %viewer.otlp_http_address()?,
        "ready"
    );
    let stop = CancellationToken::new();
    let serving = viewer.run(stop.clone());
    tokio::pin!(serving);
    tokio::select! {
        ended = &mut serving => return ended,
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::info!("stopping");
    stop.cancel();
    tokio::time::timeout(DRAIN, serving).await.unwrap_or(Ok(()))
}

/// The viewer only logs. If it traced itself, it would fill up with its own spans.
fn log_to_stderr(json: bool) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    // When stderr is closed, the subscriber would report that on stderr, which panics.
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .log_internal_errors(false)
        .with_writer(std::io::stderr);
    if json { log.json().init() } else { log.init() }
}
