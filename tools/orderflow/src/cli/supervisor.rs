//! What runs in the background: starts everything, starts again what dies, ends everything.

use std::{env, fs::File, sync::Arc, time::Duration};

use anyhow::{Context, bail};
use nix::unistd::setsid;
use orderflow::{
    binaries::Binaries,
    broker::Broker,
    stack::{Builder, Progress, Stack},
};
use tokio::{
    signal::unix::{SignalKind, signal},
    task::{JoinHandle, LocalSet, spawn_local},
};
use tokio_util::sync::CancellationToken;

use super::{
    BrokerKind,
    faults::Faults,
    home::{Home, PORTS},
    journal::{Journal, Part, Phase},
    watch::{Child, watch},
};

/// Runs until it is asked to end, or until something does not start.
pub(crate) async fn run(home: Home, broker: BrokerKind) -> anyhow::Result<()> {
    // Ctrl-C on the terminal, and its end, are not meant for us. Who has a session already keeps it.
    let _ = setsid();
    let _lock = lock(&home).await?;
    let journal = Arc::new(Journal::begin(&home, broker));
    let faults = Faults::of(&home);
    // Those of a story that was killed, with the system that it was played on.
    faults.forget()?;
    let stop = CancellationToken::new();
    tokio::spawn(cancel_when_asked(stop.clone())?);

    let started = tokio::select! {
        started = stack(&home, broker, &journal)?.start() => started,
        () = stop.cancelled() => return end(&home, &journal),
    };
    match started {
        Ok(stack) => {
            let supervised = supervise(stack, &journal, &faults, &stop);
            LocalSet::new().run_until(supervised).await;
        }
        Err(error) => {
            journal.change(|state| {
                state.phase = Phase::Failed;
                state.problem = Some(format!("{error:#}"));
            });
            return Err(error);
        }
    }
    end(&home, &journal)
}

/// Others hold the lock for an instant when they look whether somebody has it.
async fn lock(home: &Home) -> anyhow::Result<File> {
    for _ in 0..20 {
        if let Some(lock) = home.lock()? {
            return Ok(lock);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    bail!("another supervisor is at work in {}", home.path().display())
}

fn stack(home: &Home, broker: BrokerKind, journal: &Arc<Journal>) -> anyhow::Result<Builder> {
    let builder = Stack::builder(home.path())
        .binaries(Binaries::beside_us()?)
        .ports(&PORTS)
        .durable()
        .with_viewer()
        .inherit_environment()
        .on_progress(note(home.clone(), Arc::clone(journal)));
    let builder = match broker {
        BrokerKind::Kafka => builder,
        BrokerKind::Memory => builder.memory_broker(),
    };
    Ok(send_traces(builder))
}

/// Sends traces to the viewer, past any proxy, unless the environment says where else.
fn send_traces(builder: Builder) -> Builder {
    let variable = |name| env::var(name).ok().filter(|value| !value.is_empty());
    if variable("OTEL_EXPORTER_OTLP_ENDPOINT").is_some() {
        return builder;
    }
    let port = match variable("OTEL_EXPORTER_OTLP_PROTOCOL").as_deref() {
        Some("grpc") => 4317,
        _ => 4318,
    };
    let no_proxy = variable("NO_PROXY").or_else(|| variable("no_proxy"));
    let no_proxy = no_proxy.map_or(String::new(), |hosts| hosts + ",") + "127.0.0.1";
    builder
        .env_everywhere(
            "OTEL_EXPORTER_OTLP_ENDPOINT",
            format!("http://127.0.0.1:{port}"),
        )
        .env_everywhere("NO_PROXY", no_proxy)
}

/// Keeps the journal while the stack starts.
fn note(home: Home, journal: Arc<Journal>) -> impl FnMut(Progress<'_>) + Send + 'static {
    move |progress| match progress {
        Progress::Starting(name) => {
            journal.change(|state| state.parts.push(Part::starting(name, &home)));
        }
        Progress::Ready {
            part,
            address,
            process,
        } => journal.change_part(part, |part| {
            part.address = address;
            part.ready(process);
        }),
    }
}

/// Looks after everything until the end, then ends those first that need the others.
async fn supervise(
    stack: Stack,
    journal: &Arc<Journal>,
    faults: &Faults,
    stop: &CancellationToken,
) {
    let (services, broker, postgres) = stack.into_parts();
    let watch = |child: Child| {
        let journal = Arc::clone(journal);
        spawn_local(watch(child, journal, faults.clone(), stop.clone()))
    };
    let mut watched: Vec<JoinHandle<Child>> = vec![watch(Child::Postgres(Box::new(postgres)))];
    let _memory = match broker {
        Broker::Kafka(kafka) => {
            watched.push(watch(Child::Kafka(kafka)));
            None
        }
        memory @ Broker::Memory(_) => Some(memory),
    };
    for service in services {
        watched.push(watch(Child::Service(Box::new(service))));
    }
    journal.change(|state| state.phase = Phase::Ready);
    stop.cancelled().await;
    journal.change(|state| state.phase = Phase::Stopping);
    for child in watched.into_iter().rev() {
        if let Ok(mut child) = child.await {
            child.stop().await;
        }
    }
}

/// The journal's end: nothing is left to be known.
fn end(home: &Home, journal: &Journal) -> anyhow::Result<()> {
    journal.change(|state| state.phase = Phase::Stopping);
    std::fs::remove_file(home.state_file()).context("cannot remove the state file")
}

fn cancel_when_asked(
    stop: CancellationToken,
) -> anyhow::Result<impl Future<Output = ()> + Send + 'static> {
    let mut terminate = signal(SignalKind::terminate()).context("SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("SIGINT")?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        stop.cancel();
    })
}
