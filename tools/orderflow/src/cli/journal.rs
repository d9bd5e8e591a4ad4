//! What the supervisor knows, in a file for everybody to read.

use std::{
    fs,
    path::PathBuf,
    sync::Mutex,
    time::{Duration, Instant},
};

use nix::sys::signal::Signal;
use orderflow::process::Process;
use serde::{Deserialize, Serialize};

use super::{BrokerKind, home::Home, identity::Identity};

/// Everything that is known.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct State {
    pub(crate) phase: Phase,
    pub(crate) broker: BrokerKind,
    /// Why it failed, if it did.
    pub(crate) problem: Option<String>,
    pub(crate) supervisor: Option<Identity>,
    pub(crate) parts: Vec<Part>,
}

/// How far the whole is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Phase {
    Starting,
    Ready,
    Stopping,
    Failed,
}

/// One of the processes.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Part {
    pub(crate) name: String,
    pub(crate) phase: PartPhase,
    pub(crate) address: String,
    pub(crate) process: Option<Identity>,
    /// How often it has died and was started again.
    pub(crate) restarts: u32,
    pub(crate) log: PathBuf,
}

/// How far a part is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum PartPhase {
    Starting,
    Ready,
    /// It lives, and does not have what it needs.
    Unready,
    /// It has died.
    Restarting,
}

/// The state, and the file that it stands in.
pub(crate) struct Journal {
    file: PathBuf,
    state: Mutex<State>,
}

impl Journal {
    pub(crate) fn begin(home: &Home, broker: BrokerKind) -> Self {
        let pid = i32::try_from(std::process::id()).unwrap_or(i32::MAX);
        let journal = Self {
            file: home.state_file(),
            state: Mutex::new(State {
                phase: Phase::Starting,
                broker,
                problem: None,
                supervisor: Identity::of(pid),
                parts: Vec::new(),
            }),
        };
        journal.change(|_| {});
        journal
    }

    /// Changes the state and writes it: to a new file first, so that nobody reads half of it.
    pub(crate) fn change(&self, change: impl FnOnce(&mut State)) {
        let Ok(mut state) = self.state.lock() else {
            return;
        };
        change(&mut state);
        let new = self.file.with_extension("new");
        let text = serde_json::to_vec_pretty(&*state).unwrap_or_default();
        if let Err(error) = fs::write(&new, text).and_then(|()| fs::rename(&new, &self.file)) {
            eprintln!("cannot write {}: {error}", self.file.display());
        }
    }

    /// Changes what is known of one part.
    pub(crate) fn change_part(&self, name: &str, change: impl FnOnce(&mut Part)) {
        self.change(|state| {
            if let Some(part) = state.parts.iter_mut().find(|part| part.name == name) {
                change(part);
            }
        });
    }
}

impl Part {
    pub(crate) fn starting(name: &str, home: &Home) -> Self {
        Self {
            name: name.to_owned(),
            phase: PartPhase::Starting,
            address: String::new(),
            process: None,
            restarts: 0,
            log: home.log(name),
        }
    }

    /// It is ready, as this process.
    pub(crate) fn ready(&mut self, process: Option<&Process>) {
        self.phase = PartPhase::Ready;
        self.process = process.and_then(|process| Identity::of(process.pid()));
    }
}

impl State {
    /// Ends what a supervisor has left that was killed. Everything that it started ends by itself
    /// then; what has not a few seconds later has lost its watchdog too.
    pub(crate) async fn end_what_is_left(&self) {
        let patience = Duration::from_secs(5);
        let since = Instant::now();
        let left = || self.parts.iter().filter_map(|part| part.process.as_ref());
        while left().any(Identity::lives) && since.elapsed() < 2 * patience {
            if since.elapsed() > patience {
                left().for_each(|process| process.signal(Signal::SIGKILL));
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}
