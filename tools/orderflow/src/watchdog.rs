//! What clears away after us, however we end.
//!
//! A program that panics or is killed runs no destructor, and what it started would stay. So a shell
//! waits for the end of a pipe that only we hold open: when we are gone the pipe ends, and the shell
//! does what is left to be done. It never waits for ever: where nobody takes note of a process's end,
//! as in many a container, the process seems to live on.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use anyhow::Context;

use crate::process::Signal;

/// Ends process $1 with signal $2, and with SIGKILL if it has not ended a few seconds later.
const END_PROCESS: &str = r#"
read -r _
kill -s "$2" "$1" 2>/dev/null || exit 0
for _ in 1 2 3 4 5; do
    sleep 1
    kill -0 "$1" 2>/dev/null || exit 0
done
kill -s KILL "$1" 2>/dev/null
"#;

/// Removes directory $1, again as long as somebody who is just ending puts something there.
const REMOVE_DIRECTORY: &str = r#"
read -r _
for _ in 1 2 3 4 5 6 7 8 9 10; do
    rm -rf "$1" 2>/dev/null
    [ -e "$1" ] || exit 0
    sleep 1
done
"#;

/// The shell. It does nothing if this is dropped: then we have lived to do it ourselves.
#[derive(Debug)]
pub(crate) struct Watchdog(Child);

impl Watchdog {
    /// One that ends a process.
    pub(crate) fn ends(pid: i32, signal: Signal) -> anyhow::Result<Self> {
        let signal = signal.as_str().trim_start_matches("SIG");
        let mut shell = shell(END_PROCESS);
        shell.arg(pid.to_string()).arg(signal);
        spawn(shell)
    }

    fn removes(directory: &Path) -> anyhow::Result<Self> {
        let mut shell = shell(REMOVE_DIRECTORY);
        shell.arg(directory);
        spawn(shell)
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to end.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A directory that is removed when this is dropped, or when we are gone.
#[derive(Debug)]
pub(crate) struct Temporary {
    directory: PathBuf,
    _watchdog: Watchdog,
}

impl Temporary {
    pub(crate) fn new(directory: &Path) -> anyhow::Result<Self> {
        Ok(Self {
            directory: directory.to_owned(),
            _watchdog: Watchdog::removes(directory)?,
        })
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        match fs::remove_dir_all(&self.directory) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                eprintln!("cannot remove {}: {error}", self.directory.display());
            }
            _ => {}
        }
    }
}

fn shell(script: &str) -> Command {
    let mut shell = Command::new("sh");
    shell.args(["-c", script, "watchdog"]);
    shell
}

fn spawn(mut shell: Command) -> anyhow::Result<Watchdog> {
    use std::os::unix::process::CommandExt;
    let shell = shell
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    Ok(Watchdog(shell.context("cannot start a watchdog")?))
}
