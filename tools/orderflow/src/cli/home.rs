//! The directory that everything lies in: `.orderflow` in the workspace, or `ORDERFLOW_HOME`.

use std::{
    env,
    fs::{self, File, TryLockError},
    io,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use orderflow::{artifacts::workspace, postgres};

use super::journal::State;

/// The port of everything that listens, under the name by which the library knows it.
pub(crate) const PORTS: [(&str, u16); 10] = [
    ("PostgreSQL", 15432),
    ("Kafka", 9094),
    ("gateway", 8080),
    ("orders", 8081),
    ("inventory", 8082),
    ("worker", 8083),
    ("email", 8084),
    ("viewer", 16686),
    ("OTLP over gRPC", 4317),
    ("OTLP over HTTP", 4318),
];

/// The directory, made when something is put there.
#[derive(Debug, Clone)]
pub(crate) struct Home(PathBuf);

impl Home {
    pub(crate) fn find() -> anyhow::Result<Self> {
        let chosen = env::var_os("ORDERFLOW_HOME").filter(|home| !home.is_empty());
        let home = match chosen {
            Some(home) => std::path::absolute(home).context("ORDERFLOW_HOME is no path")?,
            None => fs::canonicalize(workspace())
                .with_context(|| format!("{} is not there any more", workspace().display()))?
                .join(".orderflow"),
        };
        Ok(Self(home))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn state_file(&self) -> PathBuf {
        self.0.join("state.json")
    }

    /// The log of a part, by its name in any case.
    pub(crate) fn log(&self, part: &str) -> PathBuf {
        match part.to_lowercase().as_str() {
            "postgresql" => postgres::log_file(&self.0.join("postgres")),
            "kafka" => self.0.join("kafka").join("kafka.log"),
            service => self.0.join("logs").join(format!("{service}.log")),
        }
    }

    /// The lock that the supervisor holds as long as it lives; none if another one has it.
    pub(crate) fn lock(&self) -> anyhow::Result<Option<File>> {
        fs::create_dir_all(&self.0).with_context(|| format!("cannot make {}", self.0.display()))?;
        let path = self.0.join("lock");
        let file = File::create(&path);
        let file = file.with_context(|| format!("cannot write {}", path.display()))?;
        let refused = match file.try_lock() {
            Ok(()) => return Ok(Some(file)),
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => error,
        };
        Err(refused).with_context(|| format!("cannot lock {}", path.display()))
    }

    /// Whether a supervisor lives.
    pub(crate) fn is_supervised(&self) -> anyhow::Result<bool> {
        Ok(self.0.join("lock").exists() && self.lock()?.is_none())
    }

    /// What a supervisor has written, whether it lives or not.
    pub(crate) fn state(&self) -> anyhow::Result<Option<State>> {
        let path = self.state_file();
        match fs::read(&path) {
            // One that cannot be read was written by another version: there is nothing in it for us.
            Ok(text) => Ok(serde_json::from_slice(&text).ok()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
        }
    }

    /// Removes what was put there, and nothing else.
    pub(crate) fn remove(&self) -> anyhow::Result<()> {
        let database = postgres::data_directory(&self.0.join("postgres"));
        for path in ["postgres", "kafka", "logs", "faults", "state.json", "lock"]
            .map(|name| self.0.join(name))
        {
            remove(&path)?;
        }
        remove(&database)?;
        // Whatever else is in it is somebody else's.
        let _ = fs::remove_dir(&self.0);
        Ok(())
    }
}

fn remove(path: &Path) -> anyhow::Result<()> {
    let removed = if path.is_dir() {
        fs::remove_dir_all(path)
    } else {
        fs::remove_file(path)
    };
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            bail!("cannot remove {}: {error}", path.display())
        }
        _ => Ok(()),
    }
}
