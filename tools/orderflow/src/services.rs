//! A service as a process: an executable, its variables, and an address at which it says when it is
//! ready.

use std::{ffi::OsString, path::PathBuf, process::Command, time::Duration};

use crate::process::{Process, Signal, Spawn, free_port, wait_until_ready};

const START_TIMEOUT: Duration = Duration::from_secs(60);
/// Services take up to ten seconds for what they have in hand.
const STOP_TIMEOUT: Duration = Duration::from_secs(15);
/// Longer than a service's own check of what it needs.
const PROBE_TIMEOUT: Duration = Duration::from_secs(3);

/// The `nice` of a service that lets others go first: about a tenth of a processor is left to it while
/// they want all of it, and all of it when they don't.
const YIELDING: &str = "10";

/// A variable's name and its value.
pub type Variable = (String, OsString);

/// How a service is to be run.
#[derive(Debug, Clone)]
pub struct Options {
    /// What it is called.
    pub name: &'static str,
    /// Its executable.
    pub program: PathBuf,
    /// Where it listens; one of its variables says so as well.
    pub port: u16,
    /// Whether others go first when processors are short.
    pub yields: bool,
    /// Whether it gets the variables of this process too.
    pub inherits: bool,
    /// Its own variables.
    pub variables: Vec<Variable>,
    /// Its log file.
    pub log: PathBuf,
}

/// A running service; killed when dropped.
#[derive(Debug)]
pub struct Service {
    options: Options,
    process: Process,
}

impl Service {
    /// Starts it and waits until it is ready.
    ///
    /// # Errors
    /// It ends instead, or is not ready within a minute; the end of its log says why.
    pub async fn start(options: Options) -> anyhow::Result<Self> {
        let process = launch(&options, &[]).await?;
        Ok(Self { options, process })
    }

    /// Starts another instance of this service: the same program and variables, with a name, a port and a log file of
    /// its own. `further` variables replace those of the same name.
    ///
    /// # Errors
    /// As with [`Service::start`], or no port is free.
    pub async fn replica(&self, name: &'static str, further: &[Variable]) -> anyhow::Result<Self> {
        let mut options = self.options.clone();
        options.name = name;
        options.port = free_port()?;
        options.log.set_file_name(format!("{name}.log"));
        let port = ("PORT".to_owned(), options.port.to_string().into());
        options.variables.push(port);
        options.variables.extend_from_slice(further);
        Self::start(options).await
    }

    /// What it is called.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.options.name
    }

    /// Its address.
    #[must_use]
    pub fn url(&self) -> String {
        url(self.options.port)
    }

    /// The process, for whoever watches it.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Ends it as one ought to. True if it ended by itself, in time.
    pub async fn stop(&mut self) -> bool {
        self.process.stop(Signal::SIGTERM, STOP_TIMEOUT).await
    }

    /// Ends it as a crash would.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Makes it hang: its connections stay open, and nothing is answered.
    pub fn pause(&mut self) {
        self.process.pause();
    }

    /// Makes it go on after [`Service::pause`].
    pub fn resume(&mut self) {
        self.process.resume();
    }

    /// Starts it again, on the same port, after it was ended or has ended by itself.
    ///
    /// # Errors
    /// As with [`Service::start`].
    pub async fn start_again(&mut self) -> anyhow::Result<()> {
        self.start_again_with(&[]).await
    }

    /// The same, with further variables for this one time.
    ///
    /// # Errors
    /// As with [`Service::start`].
    pub async fn start_again_with(&mut self, further: &[Variable]) -> anyhow::Result<()> {
        self.process.kill();
        self.process = launch(&self.options, further).await?;
        Ok(())
    }

    /// Ends it as one ought to and starts it again.
    ///
    /// # Errors
    /// As with [`Service::start`].
    pub async fn restart(&mut self) -> anyhow::Result<()> {
        self.stop().await;
        self.start_again().await
    }

    /// Sets a variable, from the next start on.
    pub fn set(&mut self, variable: &str, value: impl Into<OsString>) {
        let variables = &mut self.options.variables;
        variables.push((variable.to_owned(), value.into()));
    }
}

/// Whether the service at this address says that it is ready.
pub async fn is_ready(url: &str) -> bool {
    says_yes(&format!("{url}/readyz")).await
}

/// Whether this URL is answered, and with a success.
pub async fn says_yes(url: &str) -> bool {
    let client = reqwest::Client::builder().no_proxy().timeout(PROBE_TIMEOUT);
    let Ok(client) = client.build() else {
        return false;
    };
    let answer = client.get(url).send().await;
    answer.is_ok_and(|answer| answer.status().is_success())
}

async fn launch(options: &Options, further: &[Variable]) -> anyhow::Result<Process> {
    let mut command = command(options);
    if !options.inherits {
        command.env_clear();
    }
    let variables = options.variables.iter().chain(further);
    command.envs(variables.map(|(name, value)| (name, value)));
    let mut process = Process::spawn(Spawn {
        name: options.name,
        command,
        log: &options.log,
        end: Signal::SIGKILL,
    })?;
    let url = url(options.port);
    wait_until_ready(&mut process, START_TIMEOUT, async || is_ready(&url).await).await?;
    Ok(process)
}

fn command(options: &Options) -> Command {
    if !options.yields {
        return Command::new(&options.program);
    }
    // The process becomes the program; its id stays.
    let mut nice = Command::new("nice");
    nice.args(["-n", YIELDING]).arg(&options.program);
    nice
}

fn url(port: u16) -> String {
    format!("http://127.0.0.1:{port}")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// GNU's and `BusyBox`'s `nice`, given no program, prints how nice it is itself.
    #[cfg(target_os = "linux")]
    #[test]
    fn one_that_yields_is_nicer_than_we_are() {
        let niceness = |yields| {
            let options = Options {
                name: "nice",
                program: "nice".into(),
                port: 0,
                yields,
                inherits: true,
                variables: Vec::new(),
                log: PathBuf::new(),
            };
            let output = command(&options).output().unwrap();
            let number = String::from_utf8(output.stdout).unwrap();
            number.trim().parse::<i32>().unwrap()
        };
        assert_eq!(niceness(true), (niceness(false) + 10).min(19));
    }
}
