//! What a stack is to be like, and its start.

use std::{ffi::OsString, path::PathBuf, sync::Mutex};

use anyhow::Context;
use domain::OrderCreated;
use sqlx::{Connection, PgConnection};
use tokio::task::spawn_blocking;

use super::{
    Stack,
    wiring::{self, DATABASE, Ports, SERVICES, VIEWER},
};
use crate::{
    artifacts::Artifacts,
    binaries::Binaries,
    broker::Broker,
    kafka::{self, Kafka},
    postgres::{self, ADMIN, Postgres},
    process::Process,
    services::{Options, Service, Variable},
    testing::roles,
};

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
    directory: PathBuf,
    profile: String,
    binaries: Option<Binaries>,
    ports: Vec<(&'static str, u16)>,
    viewer: bool,
    memory_broker: bool,
    durable: bool,
    inherits: bool,
    everywhere: Vec<Variable>,
    variables: Vec<(String, Variable)>,
    observer: Mutex<Observer>,
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
            everywhere: vec![("OTEL_TRACES_EXPORTER".to_owned(), "none".into())],
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
        self.everywhere.clear();
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

    /// Starts everything, in the order in which one thing needs the other, and waits until it is ready.
    ///
    /// # Errors
    /// Something could not be had or did not start. What had been started is ended.
    pub async fn start(self) -> anyhow::Result<Stack> {
        let binaries = match &self.binaries {
            Some(binaries) => binaries.clone(),
            None => Binaries::build(&self.profile).await?,
        };
        let artifacts = spawn_blocking(Artifacts::fetch).await??;
        let ports = Ports::choose(&self.ports)?;
        let (postgres, broker) = tokio::try_join!(
            self.start_postgres(&artifacts, &ports),
            self.start_broker(&artifacts, &ports)
        )?;
        let mut services = Vec::new();
        if self.viewer {
            let variables = wiring::viewer_variables(&ports)?;
            let program = binaries.path("trace-viewer")?;
            services.push(
                self.start_service(VIEWER, program, &ports, variables)
                    .await?,
            );
        }
        for name in SERVICES {
            let variables = wiring::variables(name, &ports, &postgres, &broker)?;
            let program = binaries.path(name)?;
            services.push(self.start_service(name, program, &ports, variables).await?);
        }
        Ok(Stack {
            services,
            broker,
            postgres,
        })
    }

    async fn start_postgres(
        &self,
        artifacts: &Artifacts,
        ports: &Ports,
    ) -> anyhow::Result<Postgres> {
        self.tell(Progress::Starting("PostgreSQL"));
        let options = postgres::Options {
            directory: self.directory.join("postgres"),
            port: Some(ports.of("PostgreSQL")?),
            durable: self.durable,
            outlives_us: false,
            temporary: !self.durable,
        };
        let mut postgres = Postgres::start(artifacts, options).await?;
        create_database(&postgres).await?;
        migrate::up(&postgres.url(ADMIN, DATABASE), &roles(&postgres)).await?;
        self.tell(Progress::Ready {
            part: "PostgreSQL",
            address: format!("127.0.0.1:{}", postgres.port()),
            process: Some(postgres.process()),
        });
        Ok(postgres)
    }

    async fn start_broker(&self, artifacts: &Artifacts, ports: &Ports) -> anyhow::Result<Broker> {
        if self.memory_broker {
            let dead_letters = messaging::dead_letter::topic_of(OrderCreated::TOPIC);
            let topics = [
                (OrderCreated::TOPIC, OrderCreated::PARTITIONS),
                (&dead_letters, 1),
            ];
            return Broker::memory(&topics);
        }
        self.tell(Progress::Starting("Kafka"));
        let options = kafka::Options {
            directory: self.directory.join("kafka"),
            port: Some(ports.of("Kafka")?),
            outlives_us: false,
        };
        let mut kafka = Kafka::start(artifacts, options).await?;
        self.tell(Progress::Ready {
            part: "Kafka",
            address: kafka.brokers(),
            process: Some(kafka.process()),
        });
        Ok(Broker::Kafka(Box::new(kafka)))
    }

    async fn start_service(
        &self,
        name: &'static str,
        program: PathBuf,
        ports: &Ports,
        mut variables: Vec<Variable>,
    ) -> anyhow::Result<Service> {
        self.tell(Progress::Starting(name));
        variables.extend_from_slice(&self.everywhere);
        let own = self.variables.iter().filter(|(of, _)| of == name);
        variables.extend(own.map(|(_, variable)| variable.clone()));
        let options = Options {
            name,
            program,
            port: ports.of(name)?,
            inherits: self.inherits,
            variables,
            log: self.directory.join("logs").join(format!("{name}.log")),
        };
        let mut service = Service::start(options).await?;
        self.tell(Progress::Ready {
            part: name,
            address: service.url(),
            process: Some(service.process()),
        });
        Ok(service)
    }

    fn tell(&self, progress: Progress<'_>) {
        if let Ok(mut observer) = self.observer.lock() {
            observer(progress);
        }
    }
}

/// A cluster is made without it.
async fn create_database(postgres: &Postgres) -> anyhow::Result<()> {
    let mut admin = PgConnection::connect(&postgres.admin_url()).await?;
    let exists = "SELECT EXISTS (SELECT FROM pg_database WHERE datname = 'orderflow')";
    if !sqlx::query_scalar::<_, bool>(exists)
        .fetch_one(&mut admin)
        .await?
    {
        let created = sqlx::query("CREATE DATABASE orderflow").execute(&mut admin);
        created.await.context("the database cannot be made")?;
    }
    admin.close().await?;
    Ok(())
}
