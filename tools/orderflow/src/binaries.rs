//! The executables of this workspace: where they are, and how they get there.

use std::{
    collections::HashMap,
    env,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, ensure};
use serde::Deserialize;
use tokio::{sync::Mutex, task::spawn_blocking};

use crate::artifacts::workspace;

/// Built in this process, by profile: cargo would find nothing left to do, but takes its time for it.
static BUILT: Mutex<Option<HashMap<String, Binaries>>> = Mutex::const_new(None);

/// Executables, by name.
#[derive(Debug, Clone)]
pub enum Binaries {
    /// Those in a directory.
    In(PathBuf),
    /// Those that cargo said it has built.
    Built(HashMap<String, PathBuf>),
}

impl Binaries {
    /// Those beside the program that is running: they were built along with it.
    ///
    /// # Errors
    /// The system doesn't tell where this program is.
    pub fn beside_us() -> anyhow::Result<Self> {
        let us = env::current_exe().context("where this program lies is unknown")?;
        Ok(Self::In(us.parent().unwrap_or(Path::new("/")).to_owned()))
    }

    /// Has cargo build all of them with a profile (`dev`, `local`); once in this process.
    ///
    /// # Errors
    /// What the compiler says.
    pub async fn build(profile: &str) -> anyhow::Result<Self> {
        let mut built = BUILT.lock().await;
        let built = built.get_or_insert_default();
        if let Some(binaries) = built.get(profile) {
            return Ok(binaries.clone());
        }
        let wanted = profile.to_owned();
        let binaries = spawn_blocking(move || build(&wanted)).await??;
        built.insert(profile.to_owned(), binaries.clone());
        Ok(binaries)
    }

    /// The path of one.
    ///
    /// # Errors
    /// It is not there.
    pub fn path(&self, name: &str) -> anyhow::Result<PathBuf> {
        let path = match self {
            Self::In(directory) => Some(directory.join(name)),
            Self::Built(paths) => paths.get(name).cloned(),
        };
        path.filter(|path| path.is_file())
            .with_context(|| format!("{name} has not been built: run `make build`"))
    }
}

/// A line of cargo's; those about anything else than an executable have none.
#[derive(Deserialize)]
struct Message {
    target: Option<Target>,
    executable: Option<PathBuf>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
}

/// All of the workspace: with some packages only, cargo would choose fewer features for the crates
/// that they share, and compile those a second time.
fn build(profile: &str) -> anyhow::Result<Binaries> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .current_dir(workspace())
        .args(["build", "--quiet", "--workspace", "--bins"])
        .args(["--profile", profile, "--message-format", "json"])
        .stderr(Stdio::inherit())
        .output()
        .context("cannot run cargo")?;
    ensure!(
        output.status.success(),
        "cargo could not build the services"
    );
    let lines = output.stdout.split(|byte| *byte == b'\n');
    let messages = lines.filter_map(|line| serde_json::from_slice::<Message>(line).ok());
    let executables =
        messages.filter_map(|message| Some((message.target?.name, message.executable?)));
    Ok(Binaries::Built(executables.collect()))
}
