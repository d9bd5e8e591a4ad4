//! A child process: its log, its end, and the certainty that it does not outlive us.
//!
//! A test that panics or is killed runs no destructor, and a server that it started would stay. So
//! each child has a watchdog, a shell that waits for the end of a pipe that only we hold open: when
//! we are gone, however that came, the pipe ends and the watchdog ends the child.

use std::{
    fs::{self, File, OpenOptions},
    io,
    net::TcpListener,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
pub use nix::sys::signal::Signal;
use nix::{sys::signal, unistd::Pid};

/// How often a condition is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Waits for the pipe to end, then ends process $1 with signal $2 and, once it is gone, removes $3.
const WATCHDOG: &str = r#"
read -r _
kill -s "$2" "$1" 2>/dev/null
[ -n "$3" ] || exit 0
while kill -0 "$1" 2>/dev/null; do sleep 0.1; done
rm -rf "$3"
"#;

/// What to start.
#[derive(Debug)]
pub struct Spawn<'a> {
    /// What people call it.
    pub name: &'a str,
    /// The program and its arguments.
    pub command: Command,
    /// The file to which its output is appended.
    pub log: &'a Path,
    /// What becomes of it when we are gone.
    pub orphaned: Orphaned<'a>,
}

/// What becomes of a child when the process that started it is gone.
#[derive(Debug, Clone, Copy)]
pub enum Orphaned<'a> {
    /// It goes on; whoever finds its id may end it.
    GoesOn,
    /// It gets this signal.
    Gets(Signal),
    /// It gets this signal, and when it has ended this directory is removed.
    GetsAndLeavesNothing(Signal, &'a Path),
}

/// A child process. It is killed when this is dropped, unless it is to go on without us.
#[derive(Debug)]
pub struct Process {
    name: String,
    log: PathBuf,
    child: Child,
    watchdog: Option<Child>,
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
            orphaned,
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
            child,
            watchdog: None,
        };
        process.watchdog = process.watch(orphaned)?;
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
        self.child.try_wait().ok().flatten()
    }

    /// Sends a signal. A process that has ended gets none: its id may be somebody else's.
    pub fn signal(&mut self, signal: Signal) {
        if self.exited().is_none()
            && let Err(error) = signal::kill(Pid::from_raw(self.pid()), signal)
        {
            eprintln!("{}: cannot send {signal}: {error}", self.name);
        }
    }

    /// Ends it with a signal, and with SIGKILL if it has not ended in time. True if it ended well.
    pub async fn stop(&mut self, signal: Signal, in_time: Duration) -> bool {
        self.signal(signal);
        let deadline = Instant::now() + in_time;
        while self.exited().is_none() {
            if Instant::now() > deadline {
                self.kill();
                return false;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        self.unwatch();
        true
    }

    /// Ends it at once, by SIGKILL.
    pub fn kill(&mut self) {
        self.signal(Signal::SIGKILL);
        // Nothing survives SIGKILL, so this waits for an instant.
        if let Err(error) = self.child.wait() {
            eprintln!("{}: cannot wait for its end: {error}", self.name);
        }
        self.unwatch();
    }

    /// The last lines of its log.
    #[must_use]
    pub fn log_tail(&self, lines: usize) -> String {
        let log = fs::read(&self.log).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let all: Vec<_> = log.lines().collect();
        all[all.len().saturating_sub(lines)..].join("\n")
    }

    fn watch(&self, orphaned: Orphaned<'_>) -> io::Result<Option<Child>> {
        let (signal, remove) = match orphaned {
            Orphaned::GoesOn => return Ok(None),
            Orphaned::Gets(signal) => (signal, Path::new("")),
            Orphaned::GetsAndLeavesNothing(signal, directory) => (signal, directory),
        };
        Command::new("sh")
            .args(["-c", WATCHDOG, "watchdog"])
            .arg(self.pid().to_string())
            .arg(signal.as_str().trim_start_matches("SIG"))
            .arg(remove)
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map(Some)
    }

    /// Ends the watchdog before the process's id can be anybody else's.
    fn unwatch(&mut self) {
        if let Some(mut watchdog) = self.watchdog.take() {
            // It may have ended by itself; then there is nothing to end.
            let _ = watchdog.kill();
            let _ = watchdog.wait();
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.watchdog.is_some() {
            self.kill();
        }
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
    let listener = TcpListener::bind(("127.0.0.1", 0)).context("there is no free port")?;
    Ok(listener.local_addr()?.port())
}

fn append_to(log: &Path) -> anyhow::Result<File> {
    if let Some(directory) = log.parent() {
        fs::create_dir_all(directory)
            .with_context(|| format!("cannot make {}", directory.display()))?;
    }
    let opened = OpenOptions::new().create(true).append(true).open(log);
    opened.with_context(|| format!("cannot write {}", log.display()))
}
