//! A system of our own, started for a measurement and gone after it.

use std::path::{Path, PathBuf};

use clap::Args;
use orderflow::{
    binaries::Binaries,
    postgres::data_directory,
    process::free_ports,
    services::{Options, Service},
    stack::{SERVICES, Stack, VIEWER, yields},
};
use tempfile::TempDir;

/// For the traces of all orders of a long measurement, until they are looked at.
const VIEWER_MEMORY: &str = "2000000000";

/// Which programs are measured.
#[derive(Debug, Clone, Args)]
pub(crate) struct Programs {
    /// Builds them with this profile of cargo's.
    #[arg(long, default_value = "local")]
    profile: String,
    /// Takes those in this directory and builds none.
    #[arg(long)]
    binaries: Option<PathBuf>,
    /// Sets a variable of every service, as `NAME=value`: to see what turning a knob does.
    #[arg(long = "env", value_parser = variable)]
    variables: Vec<(String, String)>,
}

/// A place for data on disk; emptied at the end, PostgreSQL's own place too.
#[derive(Debug)]
pub(crate) struct Place(TempDir);

/// A running system, durable as a real one: whatever is confirmed has reached the disk.
pub(crate) struct Stage {
    /// Services beyond the five; they end before what they need.
    replicas: Vec<Service>,
    pub(crate) stack: Stack,
    binaries: Binaries,
    collector: String,
    variables: Vec<(String, String)>,
    // Dropped last, when nobody writes there any more.
    place: Place,
}

/// Where the services send their traces.
#[derive(Debug)]
pub(crate) enum Traces {
    /// To a viewer that is started with them.
    ToViewer,
    /// To this collector.
    To(String),
}

impl Programs {
    pub(crate) async fn find(&self) -> anyhow::Result<Binaries> {
        match &self.binaries {
            Some(directory) => Ok(Binaries::In(directory.clone())),
            None => Binaries::build(&self.profile).await,
        }
    }
}

impl Place {
    pub(crate) fn new() -> anyhow::Result<Self> {
        Ok(Self(
            tempfile::Builder::new()
                .prefix("orderflow-bench-")
                .tempdir()?,
        ))
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn postgres(&self) -> PathBuf {
        self.path().join("postgres")
    }

    pub(crate) fn kafka(&self) -> PathBuf {
        self.path().join("kafka")
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let elsewhere = data_directory(&self.postgres());
        if elsewhere != self.postgres()
            && elsewhere.exists()
            && let Err(error) = std::fs::remove_dir_all(&elsewhere)
        {
            eprintln!("{} stays behind: {error}", elsewhere.display());
        }
    }
}

impl Stage {
    pub(crate) async fn set(programs: &Programs, traces: Traces) -> anyhow::Result<Self> {
        let place = Place::new()?;
        let binaries = programs.find().await?;
        let mut builder = Stack::builder(place.path())
            .durable()
            .binaries(binaries.clone());
        let collector = match traces {
            Traces::To(collector) => collector,
            Traces::ToViewer => {
                let port = free_ports(1)?.remove(0);
                builder = builder
                    .with_viewer()
                    .ports(&[("OTLP over gRPC", port)])
                    .env(VIEWER, "VIEWER_MEMORY_BYTES", VIEWER_MEMORY);
                format!("http://127.0.0.1:{port}")
            }
        };
        for (variable, value) in &programs.variables {
            builder = builder.env_everywhere(variable, value);
        }
        Ok(Self {
            replicas: Vec::new(),
            variables: programs.variables.clone(),
            stack: builder.otlp(&collector, "grpc").start().await?,
            binaries,
            collector,
            place,
        })
    }

    /// The processes of all services, without PostgreSQL, Kafka and the viewer.
    pub(crate) fn processes(&mut self) -> Vec<u32> {
        let mut ids: Vec<_> = SERVICES
            .map(|name| self.stack.service(name).process().pid())
            .to_vec();
        ids.extend(
            self.replicas
                .iter_mut()
                .map(|replica| replica.process().pid()),
        );
        ids.into_iter()
            .filter_map(|id| u32::try_from(id).ok())
            .collect()
    }

    /// Sets a variable of every service and starts all of them anew.
    pub(crate) async fn restart_with(&mut self, variables: &[(&str, &str)]) -> anyhow::Result<()> {
        for name in SERVICES {
            let service = self.stack.service(name);
            for (variable, value) in variables {
                service.set(variable, value);
            }
            service.restart().await?;
        }
        Ok(())
    }

    /// Starts one more orders service, one more worker that asks it, and one more gateway before it;
    /// answers with the gateway's address.
    pub(crate) async fn add_replica(&mut self) -> anyhow::Result<String> {
        let database = self.stack.database_url("orders");
        let orders = self.start("orders", ("POSTGRES_URL", database)).await?;
        let to_orders = ("ORDERS_SERVICE_URL", orders);
        self.start("worker", to_orders.clone()).await?;
        self.start("gateway", to_orders).await
    }

    async fn start(&mut self, name: &'static str, own: (&str, String)) -> anyhow::Result<String> {
        let port = free_ports(1)?.remove(0);
        let variables = [
            ("PORT", port.to_string()),
            ("KAFKA_BROKERS", self.stack.brokers()),
            ("ORDERS_SERVICE_URL", self.stack.url("orders")),
            ("INVENTORY_SERVICE_URL", self.stack.url("inventory")),
            ("EMAIL_SERVICE_URL", self.stack.url("email")),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", self.collector.clone()),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc".to_owned()),
            own,
        ];
        let variables = variables.map(|(variable, value)| (variable.to_owned(), value));
        let variables = variables.into_iter().chain(self.variables.clone());
        let number = self.replicas.len();
        let replica = Service::start(Options {
            name,
            program: self.binaries.path(name)?,
            port,
            yields: yields(name),
            inherits: false,
            variables: variables
                .map(|(variable, value)| (variable, value.into()))
                .collect(),
            log: self.place.path().join(format!("logs/{name}-{number}.log")),
        });
        let replica = replica.await?;
        let url = replica.url();
        self.replicas.push(replica);
        Ok(url)
    }
}

fn variable(text: &str) -> Result<(String, String), &'static str> {
    let (name, value) = text.split_once('=').ok_or("must look like NAME=value")?;
    Ok((name.to_owned(), value.to_owned()))
}
