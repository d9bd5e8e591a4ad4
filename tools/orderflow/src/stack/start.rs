//! A stack's start: each part after those that it needs.

use std::path::PathBuf;

use anyhow::Context;
use domain::OrderCreated;
use sqlx::{Connection, PgConnection};
use tokio::task::spawn_blocking;

use super::{
    Builder, Progress, Stack,
    wiring::{self, DATABASE, Ports, SERVICES, VIEWER},
};
use crate::{
    artifacts::Artifacts,
    binaries::Binaries,
    broker::Broker,
    kafka::{self, Kafka},
    postgres::{self, ADMIN, Postgres},
    services::{Options, Service, Variable},
};

impl Builder {
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
            temporary: !self.durable,
        };
        let mut postgres = Postgres::start(artifacts, options).await?;
        create_database(&postgres).await?;
        migrate::up(&postgres.url(ADMIN, DATABASE), &postgres.roles()).await?;
        self.tell(Progress::Ready {
            part: "PostgreSQL",
            address: format!("127.0.0.1:{}", postgres.port()),
            process: Some(postgres.process()),
        });
        Ok(postgres)
    }

    async fn start_broker(&self, artifacts: &Artifacts, ports: &Ports) -> anyhow::Result<Broker> {
        if self.memory_broker {
            let dead_letters = delivery::dead_letter::topic_of(OrderCreated::TOPIC);
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
        if !self.inherits {
            variables.push(("OTEL_TRACES_EXPORTER".to_owned(), "none".into()));
        }
        variables.extend_from_slice(&self.everywhere);
        let own = self.variables.iter().filter(|(of, _)| of == name);
        variables.extend(own.map(|(_, variable)| variable.clone()));
        let options = Options {
            name,
            program,
            port: ports.of(name)?,
            yields: wiring::yields(name),
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
