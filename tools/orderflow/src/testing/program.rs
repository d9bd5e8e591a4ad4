//! A service's own program, for tests of how it ends.

use std::{
    net::SocketAddr,
    path::Path,
    process::{ExitStatus, Stdio},
    time::Duration,
};

use anyhow::Context;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
    time::timeout,
};

/// Longer than any program takes to start.
const START: Duration = Duration::from_secs(60);

/// A running service. It is killed when it is dropped.
#[derive(Debug)]
pub struct Program {
    child: Child,
    address: SocketAddr,
}

impl Program {
    /// Starts a program on a free port, without telemetry, and waits until it listens.
    ///
    /// # Errors
    /// It can't be started, or does not say in its log where it listens.
    pub async fn start(
        program: impl AsRef<Path>,
        variables: &[(&str, &str)],
    ) -> anyhow::Result<Self> {
        let mut child = Command::new(program.as_ref())
            .env_clear()
            .env("PORT", "0")
            .env("OTEL_SDK_DISABLED", "true")
            .envs(variables.iter().copied())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let log = child.stdout.take().context("its standard output")?;
        let mut lines = BufReader::new(log).lines();
        let listening = async {
            while let Some(line) = lines.next_line().await? {
                let line: Value = serde_json::from_str(&line).unwrap_or_default();
                if let Some(address) = line["fields"]["address"].as_str() {
                    return Ok(address.parse()?);
                }
            }
            anyhow::bail!("it ended")
        };
        let address = timeout(START, listening).await??;
        // Someone has to read on, or the program would wait to write.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Ok(Self { child, address })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its process id.
    ///
    /// # Errors
    /// It has ended.
    pub fn id(&self) -> anyhow::Result<u32> {
        self.child.id().context("it has ended")
    }

    /// Sends SIGTERM and waits for the end. `None`: it goes on after `limit`.
    ///
    /// # Errors
    /// It has ended before.
    pub async fn terminate(&mut self, limit: Duration) -> anyhow::Result<Option<ExitStatus>> {
        let id = i32::try_from(self.id()?)?;
        kill(Pid::from_raw(id), Signal::SIGTERM)?;
        Ok(timeout(limit, self.child.wait()).await.ok().transpose()?)
    }
}
