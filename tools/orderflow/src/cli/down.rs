//! `orderflow down`: asks the supervisor to end everything, or clears away what one that was killed
//! has left.

use std::{
    fs,
    time::{Duration, Instant},
};

use anyhow::Context;
use nix::sys::signal::Signal;

use super::{
    follow::{LOOK_EVERY, SILENCE},
    home::Home,
    journal::State,
    screen::say,
};

/// Longer than all parts together may take to end.
const PATIENCE: Duration = Duration::from_secs(120);

/// Stops what `up` has started, and nothing else.
pub(crate) async fn run(home: &Home, volumes: bool) -> anyhow::Result<()> {
    let since = Instant::now();
    match (home.is_supervised()?, home.state()?) {
        (true, state) => {
            stop(home, state.as_ref()).await?;
            say(format_args!(
                "Stopped, after {:.1} s.",
                since.elapsed().as_secs_f64()
            ));
        }
        (false, Some(state)) => {
            clear_away(home, &state).await?;
            say("The supervisor did not live any more; what it left is cleared away.");
        }
        (false, None) => say("Nothing is running."),
    }
    if volumes {
        home.remove()?;
        say("The data and the logs are removed.");
    }
    Ok(())
}

async fn stop(home: &Home, state: Option<&State>) -> anyhow::Result<()> {
    let supervisor = state.and_then(|state| state.supervisor.as_ref());
    let supervisor = supervisor.context("A supervisor is just starting: try again.")?;
    supervisor.signal(Signal::SIGTERM);
    let since = Instant::now();
    let mut told = since;
    while home.is_supervised()? {
        if told.elapsed() > SILENCE {
            say(format_args!(
                "Still stopping, after {} s.",
                since.elapsed().as_secs()
            ));
            told = Instant::now();
        }
        if since.elapsed() > PATIENCE {
            supervisor.signal(Signal::SIGKILL);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    match home.state()? {
        // It was killed in the middle of it.
        Some(state) => clear_away(home, &state).await,
        None => Ok(()),
    }
}

async fn clear_away(home: &Home, state: &State) -> anyhow::Result<()> {
    state.end_what_is_left().await;
    fs::remove_file(home.state_file()).context("cannot remove the stale state file")
}
