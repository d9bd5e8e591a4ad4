//! A child process: its log, its end, and the certainty that it does not outlive us.

use std::{
    fs::{self, File, OpenOptions},
    net::TcpListener,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
pub use nix::sys::signal::Signal;
use nix::{sys::signal, unistd::Pid};

use crate::watchdog::Watchdog;

/// How often a condition is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// How long one that is to end at once may take for it.
const AT_ONCE: Duration = Duration::from_secs(5);

/// What to start.
#[derive(Debug)]
pub struct Spawn<'a> {
    /// What people call it.
    pub name: &'a str,
    /// The program and its arguments.
    pub command: Command,
    /// The file to which its output is appended.
    pub log: &'a Path,
    /// What ends it at once, without leaving behind what only it can clear away. It gets this when it
    /// is killed or dropped, and when we are gone.
    pub end: Signal,
}

/// A child process. It ends when this is dropped, and by a watchdog when we are gone.
#[derive(Debug)]
pub struct Process {
    name: String,
    log: PathBuf,
    end: Signal,
    child: Child,
    watchdog: Option<Watchdog>,
}

impl Process {
    /// Starts it, in a process group of its own, so that Ctrl-C on the terminal is ours to handle.
    ///
    /// # Errors
    /// The program or its log file cannot be opened.
    pub fn spawn(spawn: Spawn<'_>) -> anyhow::Result<Self> {
        let Spawn {
            name,
            mut command,
            log,
            end,
        } = spawn;
        let output = append_to(log)?;
        let program = command.get_program().to_string_lossy().into_owned();
        let child = command
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()
            .with_context(|| format!("{name}: cannot start {program}"))?;
        let mut process = Self {
            name: name.to_owned(),
            log: log.to_owned(),
            end,
            child,
            watchdog: None,
        };
        // Without one it ends here, as the process is dropped.
        process.watchdog = Some(Watchdog::ends(process.pid(), end)?);
        Ok(process)
    }

    /// The process's id.
    #[must_use]
    pub fn pid(&self) -> i32 {
        // Process ids are positive and fit: the kernel's own type is i32.
        i32::try_from(self.child.id()).unwrap_or(i32::MAX)
    }

    /// What people call it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its log file.
    #[must_use]
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// How it ended, if it has.
    pub fn exited(&mut self) -> Option<ExitStatus> {
        let status = self.child.try_wait().ok().flatten();
        if status.is_some() {
            // The process's id may be somebody else's from now on.
            self.watchdog = None;
        }
        status
    }

    /// Waits for its end; none if that does not come in time.
    pub async fn ended(&mut self, in_time: Duration) -> Option<ExitStatus> {
        let deadline = Instant::now() + in_time;
        while self.exited().is_none() && Instant::now() < deadline {
            tokio::time::sleep(LOOK_EVERY).await;
        }
        self.exited()
    }

    /// Sends a signal. A process that has ended gets none: its id may be somebody else's.
    pub fn signal(&mut self, signal: Signal) {
        if self.exited().is_none()
            && let Err(error) = signal::kill(Pid::from_raw(self.pid()), signal)
        {
            eprintln!("{}: cannot send {signal}: {error}", self.name);
        }
    }

    /// Makes it hang: its connections stay open, and nothing is answered.
    pub fn pause(&mut self) {
        self.signal(Signal::SIGSTOP);
    }

    /// Makes it go on after [`Process::pause`].
    pub fn resume(&mut self) {
        self.signal(Signal::SIGCONT);
    }

    /// Ends it with a signal, and at once if it has not ended in time. True if it ended well.
    pub async fn stop(&mut self, signal: Signal, in_time: Duration) -> bool {
        // One that was paused would never hear of it.
        self.resume();
        self.signal(signal);
        let ended = self.ended(in_time).await.is_some();
        if !ended {
            self.kill();
        }
        ended
    }

    /// Ends it at once, as a crash would: by its own signal for that, and by SIGKILL if that does not
    /// do it within seconds.
    pub fn kill(&mut self) {
        self.signal(self.end);
        let deadline = Instant::now() + AT_ONCE;
        while self.exited().is_none() && Instant::now() < deadline {
            thread::sleep(LOOK_EVERY);
        }
        self.signal(Signal::SIGKILL);
        // Nothing survives SIGKILL, so this waits for an instant.
        if let Err(error) = self.child.wait() {
            eprintln!("{}: cannot wait for its end: {error}", self.name);
        }
        self.watchdog = None;
    }

    /// The last lines of its log.
    #[must_use]
    pub fn log_tail(&self, lines: usize) -> String {
        let log = fs::read(&self.log).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let all: Vec<_> = log.lines().collect();
        all[all.len().saturating_sub(lines)..].join("\n")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Waits until `ready` says so; fails early, with the end of its log, if the process has ended.
///
/// # Errors
/// It ended, or is not ready in time.
pub async fn wait_until_ready(
    process: &mut Process,
    in_time: Duration,
    mut ready: impl AsyncFnMut() -> bool,
) -> anyhow::Result<()> {
    let deadline = Instant::now() + in_time;
    loop {
        // First: what answers when ours has ended is somebody else.
        let (name, log) = (
            process.name().to_owned(),
            process.log().display().to_string(),
        );
        if let Some(status) = process.exited() {
            let tail = process.log_tail(20);
            bail!("{name} ended instead of starting ({status}); the end of {log}:\n{tail}");
        }
        if ready().await {
            return Ok(());
        }
        if Instant::now() > deadline {
            let tail = process.log_tail(20);
            bail!(
                "{name} is not ready after {} s; the end of {log}:\n{tail}",
                in_time.as_secs()
            );
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// A port that nobody listens on at the moment. Somebody else may take it before it is used: who
/// uses it must be ready to try another one.
///
/// # Errors
/// There is none.
pub fn free_port() -> anyhow::Result<u16> {
    Ok(listen()?.local_addr()?.port())
}

/// So many of them, no two the same.
///
/// # Errors
/// There are not so many.
pub fn free_ports(count: usize) -> anyhow::Result<Vec<u16>> {
    // All listen until the last one is found: the system gives none of them a second time.
    let listeners: Vec<_> = (0..count).map(|_| listen()).collect::<Result<_, _>>()?;
    let ports = listeners.iter().map(|one| Ok(one.local_addr()?.port()));
    ports.collect()
}

fn listen() -> anyhow::Result<TcpListener> {
    TcpListener::bind(("127.0.0.1", 0)).context("there is no free port")
}

fn append_to(log: &Path) -> anyhow::Result<File> {
    if let Some(directory) = log.parent() {
        fs::create_dir_all(directory)
            .with_context(|| format!("cannot make {}", directory.display()))?;
    }
    let opened = OpenOptions::new().create(true).append(true).open(log);
    opened.with_context(|| format!("cannot write {}", log.display()))
}
