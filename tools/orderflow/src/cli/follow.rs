//! What `up` prints while the supervisor starts everything.

use std::{
    collections::HashSet,
    process::Child,
    time::{Duration, Instant},
};

use anyhow::bail;
use nix::sys::signal::Signal;

use super::{
    home::Home,
    journal::{PartPhase, Phase, State},
    screen::say,
};

/// How often the state is looked at.
pub(crate) const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Silence for longer than this looks like a standstill.
pub(crate) const SILENCE: Duration = Duration::from_secs(10);

/// Tells what becomes of the start until all is ready.
pub(crate) async fn follow(
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
