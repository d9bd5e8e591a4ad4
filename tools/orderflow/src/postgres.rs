//! A private PostgreSQL server, on 127.0.0.1 and nowhere else.
//!
//! Root has it run as nobody; where root's directories are closed to that one, its data lies
//! elsewhere ([`data_directory`]). The directory around the data, with the passwords and the log in
//! it, belongs to whoever starts the server.

use std::{
    fs,
    os::unix::{
        fs::{DirBuilderExt, chown},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use migrate::Role;
use nix::unistd::geteuid;
use sqlx::{Connection, PgConnection};

use crate::{
    artifacts::Artifacts,
    passwords::{Passwords, write_secret},
    process::{Process, Signal, Spawn, free_port, wait_until_ready},
    reach,
    watchdog::Temporary,
};

/// Whom root lets PostgreSQL run as: nobody.
const NOBODY: u32 = 65_534;
/// The role that may do everything.
pub const ADMIN: &str = "postgres";
/// Crash recovery included.
const START: Duration = Duration::from_secs(60);
/// How long a server may refuse us. It may be somebody else's, on the port that ours is about to fail on.
const REFUSED: Duration = Duration::from_secs(5);
/// A server that was killed leaves a lock, and for a moment its children: the next start may fail.
const TRIES: usize = 5;
const INITIALIZE: Duration = Duration::from_secs(120);

/// How a server is to be run.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where data, passwords and log are kept. Made if it is not there.
    pub directory: PathBuf,
    /// The port; any that is free without.
    pub port: Option<u16>,
    /// Whether a commit survives a power cut. Only tests can do without.
    pub durable: bool,
    /// Whether the directory is removed at the end, also when this process is killed.
    pub temporary: bool,
}

/// A running server; ends when dropped.
#[derive(Debug)]
pub struct Postgres {
    options: Options,
    programs: PathBuf,
    directory: PathBuf,
    port: u16,
    passwords: Passwords,
    process: Process,
    // Dropped after the process.
    _temporary: Option<Temporary>,
}

impl Postgres {
    /// Starts a server and waits until it answers. A directory that has none yet gets one.
    ///
    /// # Errors
    /// The port is taken, or the server does not start; the end of its log says why.
    pub async fn start(artifacts: &Artifacts, options: Options) -> anyhow::Result<Self> {
        let programs = artifacts.postgres().join("bin");
        let directory = reach::make(&options.directory)?;
        let temporary = options.temporary.then(|| Temporary::new(&directory));
        let temporary = temporary.transpose()?;
        let roles = [ADMIN].into_iter().chain(migrate::ROLES);
        let passwords = Passwords::in_directory(&directory, roles)?;
        let admin = passwords.of(ADMIN);
        if !directory.join("data").exists() {
            initialize(&programs, &directory, admin, options.durable).await?;
        }
        let (process, port) = launch(&programs, &directory, admin, &options).await?;
        Ok(Self {
            options,
            programs,
            directory,
            port,
            passwords,
            process,
            _temporary: temporary,
        })
    }

    /// The address of a database, for the administrator or the role of a service.
    #[must_use]
    pub fn url(&self, role: &str, database: &str) -> String {
        url(role, self.passwords.of(role), self.port, database)
    }

    /// The roles of the services, as `migrate::up` is to make them.
    #[must_use]
    pub fn roles(&self) -> [Role; 3] {
        migrate::ROLES.map(|name| Role {
            name,
            password: self.passwords.of(name).to_owned(),
        })
    }

    /// The address of the server's own database, for the role that may do everything.
    #[must_use]
    pub fn admin_url(&self) -> String {
        self.url(ADMIN, "postgres")
    }

    /// The port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
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

    /// Ends it as a crash would: nothing is rolled back or written, all of that is left to the next
    /// start. Only the memory that it shares with its children it gives back.
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
        self.process.kill();
        let admin = self.passwords.of(ADMIN);
        let launched = launch(&self.programs, &self.directory, admin, &options).await?;
        self.process = launched.0;
        Ok(())
    }
}

/// Where a server that is given this directory keeps what it keeps.
#[must_use]
pub fn data_directory(directory: &Path) -> PathBuf {
    reach::reachable(directory)
}

/// The log of a server that is given this directory.
#[must_use]
pub fn log_file(directory: &Path) -> PathBuf {
    data_directory(directory).join("postgres.log")
}

fn url(role: &str, password: &str, port: u16, database: &str) -> String {
    format!("postgres://{role}:{password}@127.0.0.1:{port}/{database}")
}

/// Starts the server and waits until it lets us in.
async fn launch(
    programs: &Path,
    directory: &Path,
    password: &str,
    options: &Options,
) -> anyhow::Result<(Process, u16)> {
    let mut tries = 1;
    loop {
        let port = options.port.map_or_else(free_port, Ok)?;
        let mut process = spawn(programs, directory, port, options.durable)?;
        let url = url(ADMIN, password, port, "postgres");
        match wait_until_admitted(&mut process, &url).await {
            Ok(()) => return Ok((process, port)),
            // One that still runs will do no better another time.
            Err(error) if process.exited().is_none() || tries == TRIES => return Err(error),
            Err(_) => tries += 1,
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

fn spawn(programs: &Path, directory: &Path, port: u16, durable: bool) -> anyhow::Result<Process> {
    let mut command = command(&programs.join("postgres"));
    command.arg("-D").arg(directory.join("data"));
    let durable = if durable { "on" } else { "off" };
    for setting in [
        "listen_addresses=127.0.0.1",
        &format!("port={port}"),
        // The path of a socket may be 107 bytes long at most; nobody needs one.
        "unix_socket_directories=",
        "max_connections=200",
        // Without, a commit is still with the system, which outlives a crash of the server.
        &format!("fsync={durable}"),
    ] {
        command.arg("-c").arg(setting);
    }
    Process::spawn(Spawn {
        name: "PostgreSQL",
        command,
        log: &directory.join("postgres.log"),
        // "Immediate shutdown". SIGKILL would leave its shared memory to the system, for ever.
        end: Signal::SIGQUIT,
    })
}

async fn wait_until_admitted(process: &mut Process, url: &str) -> anyhow::Result<()> {
    let mut refused = None;
    let answers = async || match ask(url).await {
        Err(error) if is_refusal(&error) => {
            refused.get_or_insert_with(Instant::now).elapsed() > REFUSED
        }
        answer => answer.is_ok(),
    };
    wait_until_ready(process, START, answers).await?;
    let refused =
        "PostgreSQL runs and does not let us in: do its data and its passwords belong together?";
    ask(url).await.context(refused)
}

async fn ask(url: &str) -> sqlx::Result<()> {
    let asked = async { PgConnection::connect(url).await?.close().await };
    let answer = tokio::time::timeout(Duration::from_secs(2), asked).await;
    answer.unwrap_or(Err(sqlx::Error::PoolTimedOut))
}

/// Class 28: a name or a password that it does not accept.
fn is_refusal(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code());
    code.is_some_and(|code| code.starts_with("28"))
}

/// Makes the data. They get their name when they are complete.
async fn initialize(
    programs: &Path,
    directory: &Path,
    password: &str,
    durable: bool,
) -> anyhow::Result<()> {
    let unfinished = directory.join("data.new");
    if unfinished.exists() {
        fs::remove_dir_all(&unfinished).context("cannot remove what an earlier start left")?;
    }
    fs::DirBuilder::new().mode(0o700).create(&unfinished)?;
    give_to_nobody(&unfinished)?;
    let password_file = directory.join("initial-password");
    write_secret(&password_file, password)?;
    give_to_nobody(&password_file)?;

    let log = directory.join("initdb.log");
    let mut initdb = Process::spawn(Spawn {
        name: "initdb",
        command: initdb(programs, &unfinished, &password_file, durable),
        log: &log,
        // It waits for what it has started itself, and that gives its shared memory back.
        end: Signal::SIGTERM,
    })?;
    let status = initdb.ended(INITIALIZE).await;
    if !status.is_some_and(|status| status.success()) {
        let (log, said) = (log.display(), initdb.log_tail(20));
        bail!("PostgreSQL's data could not be initialized; the end of {log}:\n{said}");
    }
    fs::remove_file(&password_file)?;
    fs::rename(&unfinished, directory.join("data")).context("cannot name PostgreSQL's data")
}

fn initdb(programs: &Path, data: &Path, password_file: &Path, durable: bool) -> Command {
    let mut command = command(&programs.join("initdb"));
    command.arg("-D").arg(data);
    command.arg(format!("--username={ADMIN}"));
    command.arg("--pwfile").arg(password_file);
    command.args(["--auth=scram-sha-256", "--encoding=UTF8", "--locale=C"]);
    // Many iterations make guessing slow. There is nothing to guess in a random password, and in a
    // debug build they cost 0.1 s of CPU for each connection.
    command.args(["-c", "scram_iterations=1"]);
    if !durable {
        command.arg("--no-sync");
    }
    command
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

fn give_to_nobody(path: &Path) -> anyhow::Result<()> {
    if geteuid().is_root() {
        chown(path, Some(NOBODY), Some(NOBODY))
            .with_context(|| format!("cannot give {} to nobody", path.display()))?;
    }
    Ok(())
}
