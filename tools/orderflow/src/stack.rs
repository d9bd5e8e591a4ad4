//! All of `OrderFlow` on one machine: PostgreSQL, the schemas in it, a broker, the five services, and a
//! viewer for their traces if wanted.
//!
//! On free ports unless they are given, so that any number of them run side by side. All of it ends
//! when it is dropped, and when the process that has it ends, however that comes.

mod builder;
mod start;
mod wiring;

pub use builder::{Builder, Progress};
pub use wiring::{DATABASE, SERVICES, VIEWER, yields};

use std::path::PathBuf;

use crate::{
    broker::Broker,
    kafka::Kafka,
    postgres::Postgres,
    services::{Service, Variable},
};

/// A running system. What it consists of is dropped in this order: those first that need the others.
pub struct Stack {
    services: Vec<Service>,
    broker: Broker,
    postgres: Postgres,
}

impl Stack {
    /// A stack to be, with everything of it below a directory.
    pub fn builder(directory: impl Into<PathBuf>) -> Builder {
        Builder::new(directory.into())
    }

    /// Where orders are placed.
    #[must_use]
    pub fn gateway_url(&self) -> String {
        self.url("gateway")
    }

    /// The address of a service.
    ///
    /// # Panics
    /// There is no service of this name.
    #[must_use]
    pub fn url(&self, service: &str) -> String {
        let found = self.services.iter().find(|found| found.name() == service);
        found.unwrap_or_else(|| no_such(service)).url()
    }

    /// A service, to be ended and started again.
    ///
    /// # Panics
    /// There is no service of this name.
    pub fn service(&mut self, name: &str) -> &mut Service {
        let mut services = self.services.iter_mut();
        let found = services.find(|service| service.name() == name);
        found.unwrap_or_else(|| no_such(name))
    }

    /// Starts another instance of a service, which [`Stack::service`] finds by this name: see [`Service::replica`].
    ///
    /// # Errors
    /// It does not start.
    ///
    /// # Panics
    /// There is no service of this name.
    pub async fn add_replica(
        &mut self,
        of: &str,
        name: &'static str,
        further: &[Variable],
    ) -> anyhow::Result<()> {
        let replica = self.service(of).replica(name, further).await?;
        self.services.push(replica);
        Ok(())
    }

    /// The database server.
    pub fn postgres(&mut self) -> &mut Postgres {
        &mut self.postgres
    }

    /// The address of the services' database, for one of their roles or the administrator.
    #[must_use]
    pub fn database_url(&self, role: &str) -> String {
        self.postgres.url(role, DATABASE)
    }

    /// The broker.
    ///
    /// # Panics
    /// The stack was built with a broker in memory.
    pub fn kafka(&mut self) -> &mut Kafka {
        match &mut self.broker {
            Broker::Kafka(kafka) => kafka,
            Broker::Memory(_) => panic!("this stack has a broker in memory"),
        }
    }

    /// What clients of the broker are given to start from.
    #[must_use]
    pub fn brokers(&self) -> String {
        self.broker.brokers()
    }

    /// Its parts, for whoever looks after each of them.
    #[must_use]
    pub fn into_parts(self) -> (Vec<Service>, Broker, Postgres) {
        (self.services, self.broker, self.postgres)
    }
}

/// A name that is none is a mistake in the program, like an index out of bounds.
fn no_such(service: &str) -> ! {
    panic!("this stack has no service {service:?}")
}
