//! Which process is meant: a number alone may have been given to another one since.

use std::{fs, process::Command};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde::{Deserialize, Serialize};

/// A process: its number, and when it began in whatever form the system tells it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Identity {
    pub(crate) pid: i32,
    started: String,
}

impl Identity {
    /// The process that has this number now.
    pub(crate) fn of(pid: i32) -> Option<Self> {
        let started = began(pid)?;
        Some(Self { pid, started })
    }

    /// Whether it is still this one.
    pub(crate) fn lives(&self) -> bool {
        began(self.pid).as_ref() == Some(&self.started)
    }

    /// Sends it a signal, if it is still this one.
    pub(crate) fn signal(&self, signal: Signal) {
        if self.lives() {
            // It may end in between; then that is what was wanted.
            let _ = kill(Pid::from_raw(self.pid), signal);
        }
    }
}

/// When a process began; none if there is none or it has ended and nobody has asked how.
fn began(pid: i32) -> Option<String> {
    if let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) {
        // The name, in brackets, may have spaces in it; after it come the state and nineteen more.
        let (_, fields) = stat.rsplit_once(')')?;
        let mut fields = fields.split_whitespace();
        let is_zombie = fields.next()? == "Z";
        return fields.nth(18).filter(|_| !is_zombie).map(str::to_owned);
    }
    let mut ps = Command::new("ps");
    let output = ps.args(["-o", "lstart=", "-p", &pid.to_string()]).output();
    let output = output.ok()?;
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn a_number_that_was_given_again_is_not_the_same_process() {
        let mut child = Command::new("sleep")
            .arg("60")
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        let this = Identity::of(pid).unwrap();
        let former = Identity {
            pid,
            started: "long ago".to_owned(),
        };
        assert!(this.lives());
        assert!(!former.lives());

        former.signal(Signal::SIGKILL);
        assert!(this.lives(), "nobody is killed in another one's place");
        this.signal(Signal::SIGKILL);
        child.wait().unwrap();
        assert!(!this.lives());
        assert_eq!(Identity::of(pid), None);
    }
}
