//! What a stack is to be like.

use std::{ffi::OsString, path::PathBuf, sync::Mutex};

use crate::{binaries::Binaries, process::Process, services::Variable};

/// What a start has come to.
#[derive(Debug)]
pub enum Progress<'a> {
    /// This part is being started.
    Starting(&'a str),
    /// This part is ready.
    Ready {
        /// Its name.
        part: &'a str,
        /// Where it is reached.
        address: String,
        /// Its process, if it is one of its own.
        process: Option<&'a Process>,
    },
}

type Observer = Box<dyn FnMut(Progress<'_>) + Send>;

/// A stack to be. Without further words: free ports, nothing kept, nothing inherited from the
/// environment, no traces sent, services built with the profile `dev`.
pub struct Builder {
    pub(super) directory: PathBuf,
    pub(super) profile: String,
    pub(super) binaries: Option<Binaries>,
    pub(super) ports: Vec<(&'static str, u16)>,
    pub(super) viewer: bool,
    pub(super) memory_broker: bool,
    pub(super) durable: bool,
    pub(super) inherits: bool,
    pub(super) everywhere: Vec<Variable>,
    pub(super) variables: Vec<(String, Variable)>,
    pub(super) observer: Mutex<Observer>,
}

impl Builder {
    pub(super) fn new(directory: PathBuf) -> Self {
        Self {
            directory,
            profile: "dev".to_owned(),
            binaries: None,
            ports: Vec::new(),
            viewer: false,
            memory_broker: false,
            durable: false,
            inherits: false,
            everywhere: Vec::new(),
            variables: Vec::new(),
            observer: Mutex::new(Box::new(|_| {})),
        }
    }

    /// Sends traces there, by `grpc` or `http/protobuf`.
    #[must_use]
    pub fn otlp(self, endpoint: impl Into<OsString>, protocol: impl Into<OsString>) -> Self {
        self.env_everywhere("OTEL_TRACES_EXPORTER", "otlp")
            .env_everywhere("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
            .env_everywhere("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)
    }

    /// Sets a variable of one service.
    #[must_use]
    pub fn env(mut self, service: &str, variable: &str, value: impl Into<OsString>) -> Self {
        let variable = (service.to_owned(), (variable.to_owned(), value.into()));
        self.variables.push(variable);
        self
    }

    /// Sets a variable of every service.
    #[must_use]
    pub fn env_everywhere(mut self, variable: &str, value: impl Into<OsString>) -> Self {
        self.everywhere.push((variable.to_owned(), value.into()));
        self
    }

    /// Gives the services the variables of this process, those that say where traces go among them.
    #[must_use]
    pub fn inherit_environment(mut self) -> Self {
        self.inherits = true;
        self
    }

    /// Builds the services with this profile of cargo's.
    #[must_use]
    pub fn profile(mut self, profile: &str) -> Self {
        profile.clone_into(&mut self.profile);
        self
    }

    /// Runs these executables and builds none.
    #[must_use]
    pub fn binaries(mut self, binaries: Binaries) -> Self {
        self.binaries = Some(binaries);
        self
    }

    /// Has these parts listen on these ports.
    #[must_use]
    pub fn ports(mut self, ports: &[(&'static str, u16)]) -> Self {
        self.ports = ports.to_vec();
        self
    }

    /// Runs the trace viewer too.
    #[must_use]
    pub fn with_viewer(mut self) -> Self {
        self.viewer = true;
        self
    }

    /// Uses librdkafka's broker in memory in place of Kafka.
    #[must_use]
    pub fn memory_broker(mut self) -> Self {
        self.memory_broker = true;
        self
    }

    /// Keeps the data for the next start, and has PostgreSQL survive a power cut.
    #[must_use]
    pub fn durable(mut self) -> Self {
        self.durable = true;
        self
    }

    /// Tells what the start has come to.
    #[must_use]
    pub fn on_progress(mut self, observer: impl FnMut(Progress<'_>) + Send + 'static) -> Self {
        self.observer = Mutex::new(Box::new(observer));
        self
    }

    pub(super) fn tell(&self, progress: Progress<'_>) {
        if let Ok(mut observer) = self.observer.lock() {
            observer(progress);
        }
    }
}
