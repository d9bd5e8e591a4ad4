//! `orderflow up`: looks whether it can work, starts the supervisor, follows it until all is ready.

use std::{
    env,
    fs::{self, OpenOptions},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use orderflow::{artifacts::Artifacts, binaries::Binaries, java, stack::SERVICES};
use tokio::task::spawn_blocking;

use super::{
    BrokerKind,
    follow::{LOOK_EVERY, SILENCE, follow},
    home::{Home, PORTS},
    journal::Phase,
    screen::{self, say},
};

/// Starts everything that does not run yet.
pub(crate) async fn run(home: &Home, broker: BrokerKind) -> anyhow::Result<()> {
    let since = Instant::now();
    while home.is_supervised()?
        && home
            .state()?
            .is_some_and(|state| state.phase == Phase::Stopping)
    {
        tokio::time::sleep(LOOK_EVERY).await;
    }
    let supervisor = if home.is_supervised()? {
        say("It has been started already.");
        None
    } else {
        clear_away(home).await?;
        check(broker)?;
        fetch().await?;
        Some(start_supervisor(home, broker)?)
    };
    let state = follow(home, supervisor, since).await?;
    if broker != state.broker {
        eprintln!("It runs with the other broker already; to change that, take it down first.");
    }
    screen::print(home, &state, since.elapsed());
    Ok(())
}

/// Ends and removes what a supervisor has left that was killed or had failed.
async fn clear_away(home: &Home) -> anyhow::Result<()> {
    let Some(state) = home.state()? else {
        return Ok(());
    };
    if state.phase != Phase::Failed {
        say("The supervisor of an earlier start was killed: clearing away what it left.");
    }
    state.end_what_is_left().await;
    fs::remove_file(home.state_file()).context("cannot remove the stale state file")
}

/// What would only come up later, and less clearly.
fn check(broker: BrokerKind) -> anyhow::Result<()> {
    let needed = PORTS
        .iter()
        .filter(|(name, _)| *name != "Kafka" || broker == BrokerKind::Kafka);
    let taken: Vec<_> = needed
        .filter(|(_, port)| is_taken(*port))
        .map(|(name, port)| format!("{port} ({name})"))
        .collect();
    ensure!(
        taken.is_empty(),
        "Other programs listen on port {}: stop them and try again.",
        taken.join(", ")
    );
    let binaries = Binaries::beside_us()?;
    for name in SERVICES.into_iter().chain(["trace-viewer"]) {
        binaries.path(name)?;
    }
    if broker == BrokerKind::Kafka {
        java::command()?;
    }
    Ok(())
}

/// Whether somebody answers there, or we may not have it.
fn is_taken(port: u16) -> bool {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    TcpStream::connect_timeout(&address, Duration::from_millis(500)).is_ok()
        || TcpListener::bind(address).is_err()
}

async fn fetch() -> anyhow::Result<()> {
    let mut fetch = spawn_blocking(Artifacts::fetch);
    let since = Instant::now();
    loop {
        match tokio::time::timeout(SILENCE, &mut fetch).await {
            Ok(fetched) => return fetched?.map(|_| ()),
            Err(_) => say(format_args!(
                "Still fetching, after {} s.",
                since.elapsed().as_secs()
            )),
        }
    }
}

fn start_supervisor(home: &Home, broker: BrokerKind) -> anyhow::Result<Child> {
    let log = home.log("supervisor");
    fs::create_dir_all(home.path().join("logs"))
        .with_context(|| format!("cannot make {}", home.path().display()))?;
    let output = OpenOptions::new().create(true).append(true).open(&log);
    let output = output.with_context(|| format!("cannot write {}", log.display()))?;
    let kind = match broker {
        BrokerKind::Kafka => "kafka",
        BrokerKind::Memory => "memory",
    };
    Command::new(env::current_exe()?)
        .args(["supervise", "--broker", kind])
        .env("ORDERFLOW_HOME", home.path())
        // Each service has a name of its own.
        .env_remove("OTEL_SERVICE_NAME")
        .stdin(Stdio::null())
        .stdout(output.try_clone()?)
        .stderr(output)
        .spawn()
        .context("cannot start the supervisor")
}
