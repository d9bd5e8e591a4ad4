//! `orderflow up`: looks whether it can work, starts the supervisor, follows it until all is ready.

use std::{
    collections::HashSet,
    env,
    fs::{self, OpenOptions},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, bail, ensure};
use nix::sys::signal::Signal;
use orderflow::{artifacts::Artifacts, binaries::Binaries, java, stack::SERVICES};
use tokio::task::spawn_blocking;

use super::{
    BrokerKind,
    home::{Home, PORTS},
    journal::{PartPhase, Phase, State},
    screen::{self, say},
};

const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Silence for longer than this looks like a standstill.
const SILENCE: Duration = Duration::from_secs(10);

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
    let binaries = Binaries::beside_us()?;
    for name in SERVICES.into_iter().chain(["trace-viewer"]) {
        binaries.path(name)?;
    }
    if broker == BrokerKind::Kafka {
        java::command()?;
    }
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

/// Tells what becomes of the start until all is ready.
async fn follow(
    home: &Home,
    mut supervisor: Option<Child>,
    since: Instant,
) -> anyhow::Result<State> {
    let mut told = Told::new(since);
    loop {
        let ended = match &mut supervisor {
            Some(child) => child.try_wait()?.is_some(),
            None => false,
        };
        let gone = (ended || supervisor.is_none()) && !home.is_supervised()?;
        let state = home.state()?;
        match state {
            Some(state) if state.phase == Phase::Ready && !gone => return Ok(state),
            Some(state) if gone && state.problem.is_some() => {
                bail!("{}", state.problem.unwrap_or_default())
            }
            _ if gone => bail!(
                "The supervisor has ended; {} may say why.",
                home.log("supervisor").display()
            ),
            Some(state) => told.tell(&state),
            None => {}
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK_EVERY) => {}
            _ = tokio::signal::ctrl_c() => return give_up(home).await,
        }
    }
}

async fn give_up(home: &Home) -> anyhow::Result<State> {
    say("Interrupted: stopping what has been started.");
    if let Some(supervisor) = home.state()?.and_then(|state| state.supervisor) {
        supervisor.signal(Signal::SIGTERM);
    }
    while home.is_supervised()? {
        tokio::time::sleep(LOOK_EVERY).await;
    }
    bail!("Nothing runs any more.")
}

/// What has been printed already.
struct Told {
    since: Instant,
    last: Instant,
    ready: HashSet<String>,
}

impl Told {
    fn new(since: Instant) -> Self {
        Self {
            since,
            last: Instant::now(),
            ready: HashSet::new(),
        }
    }

    fn tell(&mut self, state: &State) {
        let seconds = self.since.elapsed().as_secs_f64();
        let (ready, waiting): (Vec<_>, Vec<_>) =
            (state.parts.iter()).partition(|part| part.phase == PartPhase::Ready);
        for part in ready {
            if self.ready.insert(part.name.clone()) {
                say(format_args!("{seconds:5.1} s  {} is ready", part.name));
                self.last = Instant::now();
            }
        }
        if self.last.elapsed() > SILENCE {
            let names: Vec<_> = waiting.iter().map(|part| part.name.as_str()).collect();
            say(format_args!(
                "{seconds:5.1} s  still waiting for {}",
                names.join(", ")
            ));
            self.last = Instant::now();
        }
    }
}
