//! A private PostgreSQL server, on 127.0.0.1 and nowhere else.
//!
//! PostgreSQL refuses to run as root. Started as root it runs under the id of nobody, which must be
//! able to reach its programs and its data: where a directory on the way there is closed to others,
//! as `/root` is, both are kept below `/var/tmp` instead.

use std::{
    fs, io,
    os::unix::{
        fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, chown},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, bail};
use nix::unistd::geteuid;
use sqlx::{Connection, PgConnection};
use uuid::Uuid;

use crate::{
    artifacts::Artifacts,
    process::{Orphaned, Process, Signal, Spawn, free_port, wait_until_ready},
};

/// Whom root lets PostgreSQL run as: nobody.
const NOBODY: u32 = 65_534;
/// The role that may do everything.
pub const ADMIN: &str = "postgres";
/// Crash recovery included.
const START: Duration = Duration::from_secs(60);
/// A server that was killed leaves a lock, and for a moment its children: the next start may fail.
const TRIES: usize = 5;

/// How a server is to be run.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where data, password and log are kept. Made if it is not there.
    pub directory: PathBuf,
    /// The port; any that is free without.
    pub port: Option<u16>,
    /// Whether a commit survives a power cut. Only tests can do without.
    pub durable: bool,
    /// Whether the server goes on when this process ends.
    pub outlives_us: bool,
    /// Whether its directory is removed when this process is gone.
    pub temporary: bool,
}

/// A running server.
#[derive(Debug)]
pub struct Postgres {
    options: Options,
    programs: PathBuf,
    directory: PathBuf,
    port: u16,
    password: String,
    process: Process,
}

impl Postgres {
    /// Starts a server and waits until it answers. A directory that has none yet gets one.
    ///
    /// # Errors
    /// The port is taken, or the server does not start; the end of its log says why.
    pub async fn start(artifacts: &Artifacts, options: Options) -> anyhow::Result<Self> {
        let programs = reachable_programs(&artifacts.postgres())?;
        let directory = reachable(&options.directory);
        make_directory(&directory)?;
        let password = password(&directory)?;
        if !directory.join("data").join("PG_VERSION").exists() {
            initialize(&programs, &directory, &password, options.durable)?;
        }
        let (process, port) = start(&programs, &directory, &password, &options).await?;
        Ok(Self {
            options,
            programs,
            directory,
            port,
            password,
            process,
        })
    }

    /// The address of a database, for a role whose password is this server's.
    #[must_use]
    pub fn url(&self, role: &str, database: &str) -> String {
        url(role, &self.password, self.port, database)
    }

    /// The address of the server's own database, for the role that may do everything.
    #[must_use]
    pub fn admin_url(&self) -> String {
        self.url(ADMIN, "postgres")
    }

    /// The password of the administrator, and of every role that it is given to.
    #[must_use]
    pub fn password(&self) -> &str {
        &self.password
    }

    /// The port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Where its data really is; see the module's documentation.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The server's process.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Ends it as PostgreSQL calls fast: transactions are rolled back, data is written.
    pub async fn stop(&mut self) -> bool {
        self.process
            .stop(Signal::SIGINT, Duration::from_secs(30))
            .await
    }

    /// Ends it as a crash would.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Starts it again, on the same port and data.
    ///
    /// # Errors
    /// As at the first start.
    pub async fn start_again(&mut self) -> anyhow::Result<()> {
        let options = Options {
            port: Some(self.port),
            ..self.options.clone()
        };
        let started = start(&self.programs, &self.directory, &self.password, &options).await?;
        self.process = started.0;
        Ok(())
    }
}

/// Where a server that is given this directory keeps its data; see the module's documentation.
#[must_use]
pub fn data_directory(directory: &Path) -> PathBuf {
    reachable(directory)
}

fn url(role: &str, password: &str, port: u16, database: &str) -> String {
    format!("postgres://{role}:{password}@127.0.0.1:{port}/{database}")
}

async fn start(
    programs: &Path,
    directory: &Path,
    password: &str,
    options: &Options,
) -> anyhow::Result<(Process, u16)> {
    let mut last = None;
    for _ in 0..TRIES {
        let port = options.port.map_or_else(free_port, Ok)?;
        let mut process = spawn(programs, directory, port, options)?;
        let url = url(ADMIN, password, port, "postgres");
        match wait_until_ready(&mut process, START, async || answers(&url).await).await {
            Ok(()) => return Ok((process, port)),
            Err(error) => last = Some(error),
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    match last {
        Some(error) => Err(error),
        None => bail!("PostgreSQL was not started at all"),
    }
}

fn spawn(
    programs: &Path,
    directory: &Path,
    port: u16,
    options: &Options,
) -> anyhow::Result<Process> {
    let mut command = command(&programs.join("postgres"));
    command.arg("-D").arg(directory.join("data"));
    let durable = if options.durable { "on" } else { "off" };
    for setting in [
        "listen_addresses=127.0.0.1",
        &format!("port={port}"),
        // The path of a socket may be 107 bytes long at most; nobody needs one.
        "unix_socket_directories=",
        "max_connections=200",
        &format!("fsync={durable}"),
        &format!("synchronous_commit={durable}"),
    ] {
        command.arg("-c").arg(setting);
    }
    let orphaned = match (options.outlives_us, options.temporary) {
        (true, _) => Orphaned::GoesOn,
        (false, false) => Orphaned::Gets(Signal::SIGQUIT),
        (false, true) => Orphaned::GetsAndLeavesNothing(Signal::SIGQUIT, directory),
    };
    let log = options.directory.join("postgres.log");
    Process::spawn(Spawn {
        name: "PostgreSQL",
        command,
        log: &log,
        orphaned,
    })
}

async fn answers(url: &str) -> bool {
    let asked = async { PgConnection::connect(url).await?.close().await };
    let answered = tokio::time::timeout(Duration::from_secs(2), asked).await;
    matches!(answered, Ok(Ok(())))
}

fn initialize(
    programs: &Path,
    directory: &Path,
    password: &str,
    durable: bool,
) -> anyhow::Result<()> {
    // Whatever is there without having become a cluster is what a start that broke off has left.
    let data = directory.join("data");
    if data.exists() {
        fs::remove_dir_all(&data)?;
    }
    let password_file = directory.join("initial-password");
    write_secret(&password_file, password)?;
    give_to_nobody(&password_file)?;
    let mut command = command(&programs.join("initdb"));
    command
        .arg("-D")
        .arg(&data)
        .arg(format!("--username={ADMIN}"));
    command.arg("--pwfile").arg(&password_file);
    command.args(["--auth=scram-sha-256", "--encoding=UTF8", "--locale=C"]);
    // Many iterations make guessing slow. There is nothing to guess in a random password, and in a
    // debug build they cost 0.1 s of CPU for each connection.
    command.args(["-c", "scram_iterations=1"]);
    if !durable {
        command.arg("--no-sync");
    }
    let output = command.output().context("cannot run PostgreSQL's initdb")?;
    fs::remove_file(&password_file)?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!(
            "PostgreSQL's data could not be initialized:\n{}",
            said.trim()
        );
    }
    Ok(())
}

/// A command that does not run as root.
fn command(program: &Path) -> Command {
    let mut command = Command::new(program);
    // Settings of a server or client that somebody else uses are not for this one.
    for variable in [
        "PGDATA",
        "PGHOST",
        "PGPORT",
        "PGUSER",
        "PGDATABASE",
        "PGOPTIONS",
    ] {
        command.env_remove(variable);
    }
    if geteuid().is_root() {
        command.uid(NOBODY).gid(NOBODY).current_dir("/");
    }
    command
}

/// The server's password, made at the first start.
fn password(directory: &Path) -> anyhow::Result<String> {
    let file = directory.join("password");
    match fs::read_to_string(&file) {
        Ok(password) if !password.is_empty() => Ok(password),
        Ok(_) => bail!(
            "{} is empty; remove {}",
            file.display(),
            directory.display()
        ),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let password = Uuid::new_v4().simple().to_string();
            write_secret(&file, &password)?;
            Ok(password)
        }
        Err(error) => Err(error).with_context(|| format!("cannot read {}", file.display())),
    }
}

fn write_secret(file: &Path, secret: &str) -> anyhow::Result<()> {
    use std::io::Write;
    let opened = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(file);
    opened
        .and_then(|mut file| file.write_all(secret.as_bytes()))
        .with_context(|| format!("cannot write {}", file.display()))
}

fn make_directory(directory: &Path) -> anyhow::Result<()> {
    let made = fs::DirBuilder::new()
        .recursive(true)
        .mode(0o755)
        .create(directory);
    made.with_context(|| format!("cannot make {}", directory.display()))?;
    give_to_nobody(directory)
}

fn give_to_nobody(path: &Path) -> anyhow::Result<()> {
    if geteuid().is_root() {
        chown(path, Some(NOBODY), Some(NOBODY))
            .with_context(|| format!("cannot give {} to nobody", path.display()))?;
    }
    Ok(())
}

/// The directory itself, or one in its place that nobody can reach.
fn reachable(directory: &Path) -> PathBuf {
    if !geteuid().is_root() || is_open_to_others(directory) {
        return directory.to_owned();
    }
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hasher = DefaultHasher::new();
    directory.hash(&mut hasher);
    Path::new("/var/tmp").join(format!("orderflow-{:016x}", hasher.finish()))
}

/// Whether others may pass through every directory on the way, as far as it exists.
fn is_open_to_others(directory: &Path) -> bool {
    const PASS: u32 = 0o001;
    let existing = directory
        .ancestors()
        .filter_map(|ancestor| fs::metadata(ancestor).ok());
    existing
        .skip_while(|metadata| metadata.uid() == NOBODY)
        .all(|found| found.mode() & PASS != 0)
}

/// The directory of PostgreSQL's programs, copied to where nobody can reach it if need be.
fn reachable_programs(artifact: &Path) -> anyhow::Result<PathBuf> {
    let reachable = reachable(artifact);
    if reachable != artifact && !reachable.exists() {
        let copied = Command::new("cp")
            .arg("-r")
            .arg(artifact)
            .arg(&reachable)
            .status();
        if !copied.context("cannot run cp")?.success() {
            bail!("cannot copy PostgreSQL to {}", reachable.display());
        }
    }
    Ok(reachable.join("bin"))
}
