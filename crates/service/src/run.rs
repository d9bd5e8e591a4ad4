//! A service's life: configuration, telemetry, work, end.
//!
//! The order matters. Configuration comes first, since what is wrong with it is to be read on the
//! terminal, not in a log. Telemetry is set up inside the runtime and ends last, so that the spans
//! of the very last request are sent too, also when the work ended with an error.

use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;
use telemetry::Service;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

use crate::config;

/// Exit code for a configuration that makes no sense.
const MISCONFIGURED: u8 = 2;

/// Runs `start` with the program's configuration, until it ends by itself or, after SIGTERM or
/// SIGINT have cancelled its token, because it was asked to. A second signal ends it at once.
///
/// The exit code is 0, 1 if `start` failed, or 2 if the configuration is wrong.
pub fn run<C: Parser>(
    service: Service,
    start: impl AsyncFnOnce(C, CancellationToken) -> anyhow::Result<()>,
) -> ExitCode {
    let config = match config::parse::<C>() {
        Ok(config) => config,
        Err(error) => {
            // To say why is all that is left to do; if even that fails, the code still tells.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(MISCONFIGURED));
        }
    };
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: no async runtime: {error}");
            return ExitCode::FAILURE;
        }
    };
    let work = async |shutdown| start(config, shutdown).await;
    let code = runtime.block_on(with_telemetry(service, work));
    // Whatever still blocks one of its threads is not waited for: all that matters has ended.
    runtime.shutdown_background();
    code
}

async fn with_telemetry(
    service: Service,
    start: impl AsyncFnOnce(CancellationToken) -> anyhow::Result<()>,
) -> ExitCode {
    let guard = match telemetry::init(&service) {
        Ok(guard) => guard,
        Err(error) => {
            eprintln!("error: {error}");
            return ExitCode::from(MISCONFIGURED);
        }
    };
    let result = until_asked_to_end(start).await;
    if let Err(error) = &result {
        error!("{} ends with an error: {error:#}", service.name);
    }
    guard.shutdown().await;
    if result.is_ok() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

async fn until_asked_to_end(
    start: impl AsyncFnOnce(CancellationToken) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let shutdown = CancellationToken::new();
    let mut signals = Signals::new().context("no signals can be received")?;
    let asked = async {
        signals.next().await;
        info!("ending: no new work is taken, what is in hand is finished");
        shutdown.cancel();
        signals.next().await;
    };
    tokio::select! {
        result = start(shutdown.clone()) => result,
        () = asked => anyhow::bail!("asked twice to end: what was in hand is lost"),
    }
}

/// The signals that ask a program to end.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
