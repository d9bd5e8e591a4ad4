//! Apache Kafka: one node that is broker and controller, run from the jars that Maven fetched.
//!
//! As small as Kafka gets: a quarter of a gigabyte of heap, no second copy of anything, no encryption.
//! Everything it writes lies in one directory, its log beside its data.

use std::{
    ffi::OsString,
    fs,
    path::PathBuf,
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context, ensure};
use rdkafka::{
    ClientConfig,
    consumer::{BaseConsumer, Consumer},
};

use crate::{
    artifacts::Artifacts,
    java,
    process::{Process, Signal, Spawn, free_port, wait_until_ready},
};

/// Any sixteen bytes in base64 will do: nobody is going to mix this cluster up with another one.
const CLUSTER_ID: &str = "T3JkZXJGbG93LWthZmthMQ";
/// Warnings and errors, with the time.
const LOG: [(&str, &str); 4] = [
    ("defaultLogLevel", "warn"),
    ("showDateTime", "true"),
    ("dateTimeFormat", "yyyy-MM-dd'T'HH:mm:ss.SSSXXX"),
    ("showThreadName", "false"),
];
const START_TIMEOUT: Duration = Duration::from_secs(60);
const STOP_TIMEOUT: Duration = Duration::from_secs(20);
const PROBE_TIMEOUT: Duration = Duration::from_secs(2);

/// How a broker is to be run.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where its data, settings and log are kept; made if it is not there.
    pub directory: PathBuf,
    /// The port for clients; any that is free if there is none.
    pub port: Option<u16>,
}

/// A running broker; ends when dropped.
#[derive(Debug)]
pub struct Kafka {
    classpath: OsString,
    options: Options,
    port: u16,
    process: Process,
}

impl Kafka {
    /// Starts a broker and waits until clients are served.
    ///
    /// # Errors
    /// Java is missing or too old, the port is taken, the data are no broker's.
    pub async fn start(artifacts: &Artifacts, options: Options) -> anyhow::Result<Self> {
        let classpath = artifacts.kafka_classpath();
        let port = options.port.map_or_else(free_port, Ok)?;
        fs::create_dir_all(&options.directory)
            .with_context(|| format!("cannot make {}", options.directory.display()))?;
        let process = launch(&classpath, &options, port).await?;
        Ok(Self {
            classpath,
            options,
            port,
            process,
        })
    }

    /// What clients are given to start from.
    pub fn brokers(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The process, for whoever watches it.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Ends it as one ought to: what is in memory is written.
    pub async fn stop(&mut self) -> bool {
        self.process.stop(Signal::SIGTERM, STOP_TIMEOUT).await
    }

    /// Ends it as a failing machine would.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Starts it again: same port, same data.
    ///
    /// # Errors
    /// As with [`Kafka::start`].
    pub async fn start_again(&mut self) -> anyhow::Result<()> {
        self.process.kill();
        self.process = launch(&self.classpath, &self.options, self.port).await?;
        Ok(())
    }
}

/// Formats the data if there are none yet, starts the node and waits for it.
async fn launch(classpath: &OsString, options: &Options, port: u16) -> anyhow::Result<Process> {
    write_settings(options, port)?;
    let java = |main: &[&str]| java_command(classpath, options, main);
    if !options.directory.join("data/meta.properties").exists() {
        format_data(java(&[
            "kafka.tools.StorageTool",
            "format",
            "--cluster-id",
            CLUSTER_ID,
            "--config",
            "server.properties",
        ])?)
        .await?;
    }
    let mut process = Process::spawn(Spawn {
        name: "Kafka",
        command: java(&["kafka.Kafka", "server.properties"])?,
        log: &options.directory.join("kafka.log"),
        end: Signal::SIGKILL,
    })?;
    let answers = async || answers(format!("127.0.0.1:{port}")).await;
    wait_until_ready(&mut process, START_TIMEOUT, answers).await?;
    Ok(process)
}

/// Written at each start: the controller's port is a new one each time.
fn write_settings(options: &Options, port: u16) -> anyhow::Result<()> {
    let controller = format!("127.0.0.1:{}", free_port()?);
    let client = format!("CLIENT://127.0.0.1:{port}");
    let addresses = format!(
        "\ncontroller.quorum.voters=1@{controller}\n\
         listeners={client},CONTROLLER://{controller}\n\
         advertised.listeners={client}\n"
    );
    let settings = include_str!("kafka/server.properties").to_owned() + &addresses;
    let path = options.directory.join("server.properties");
    fs::write(&path, settings).with_context(|| format!("cannot write {}", path.display()))
}

/// Flags that make a small JVM start fast, at the price of throughput that nobody needs here.
fn java_command(classpath: &OsString, options: &Options, main: &[&str]) -> anyhow::Result<Command> {
    let mut java = java::command()?;
    java.current_dir(&options.directory)
        .args(["-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"])
        .args(LOG.map(|(name, value)| format!("-Dorg.slf4j.simpleLogger.{name}={value}")))
        .arg("-cp")
        .arg(classpath)
        .args(main);
    Ok(java)
}

async fn format_data(command: Command) -> anyhow::Result<()> {
    let mut command = tokio::process::Command::from(command);
    let output = command.stdin(Stdio::null()).kill_on_drop(true).output();
    let output = output.await.context("cannot run Java")?;
    ensure!(
        output.status.success(),
        "Kafka's directory could not be formatted: {}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}

/// Whether the broker tells clients of itself; it takes connections well before that.
async fn answers(brokers: String) -> bool {
    let ask = move || -> Result<bool, rdkafka::error::KafkaError> {
        let client: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", brokers)
            .create()?;
        let metadata = client.fetch_metadata(None, PROBE_TIMEOUT)?;
        Ok(!metadata.brokers().is_empty())
    };
    matches!(tokio::task::spawn_blocking(ask).await, Ok(Ok(true)))
}
