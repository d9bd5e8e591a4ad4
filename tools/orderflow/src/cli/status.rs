//! `orderflow status`: what runs where, and whether it says that it is ready.

use std::process::ExitCode;

use orderflow::services::is_ready;
use serde::Serialize;

use super::{
    home::Home,
    journal::{Part, PartPhase, Phase, State},
    screen::say,
};

#[derive(Serialize)]
struct Status {
    /// Whether a supervisor lives and all is ready.
    ready: bool,
    #[serde(flatten)]
    state: Option<State>,
}

/// Prints it; the exit code says whether all is ready.
pub(crate) async fn run(home: &Home, json: bool) -> anyhow::Result<ExitCode> {
    let supervised = home.is_supervised()?;
    let mut state = home.state()?.filter(|_| supervised);
    if let Some(state) = &mut state {
        ask(&mut state.parts).await;
    }
    let ready = state.as_ref().is_some_and(is_all_ready);
    if json {
        say(format_args!(
            "{}",
            serde_json::to_string_pretty(&Status { ready, state })?
        ));
    } else if let Some(state) = state {
        print(&state);
    } else if home.state()?.is_some() {
        say(format_args!(
            "Not running: the supervisor was killed or has failed. `up` and `down` both clear away what it left."
        ));
    } else {
        say("Not running.");
    }
    Ok(if ready {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// The supervisor knows who lives; whether a service has what it needs, only the service does.
async fn ask(parts: &mut [Part]) {
    for part in parts {
        let is_asked = part.phase == PartPhase::Ready && part.address.starts_with("http");
        if is_asked && !is_ready(&part.address).await {
            part.phase = PartPhase::Unready;
        }
    }
}

fn is_all_ready(state: &State) -> bool {
    let mut parts = state.parts.iter();
    state.phase == Phase::Ready && parts.all(|part| part.phase == PartPhase::Ready)
}

fn print(state: &State) {
    say(format_args!(
        "{:<11} {:<11} {:<24} {:>7} {:>8}  LOG",
        "PART", "STATE", "ADDRESS", "PID", "RESTARTS"
    ));
    for part in &state.parts {
        let phase = match part.phase {
            PartPhase::Starting => "starting",
            PartPhase::Ready => "ready",
            PartPhase::Restarting => "restarting",
            PartPhase::Unready => "not ready",
        };
        let pid = part
            .process
            .as_ref()
            .map_or(String::new(), |process| process.pid.to_string());
        say(format_args!(
            "{:<11} {phase:<11} {:<24} {pid:>7} {:>8}  {}",
            part.name,
            part.address,
            part.restarts,
            part.log.display()
        ));
    }
}
