//! Which service is told what: the variables that tie the parts together.

use std::{collections::HashMap, env, net::TcpListener, num::NonZeroUsize, thread};

use anyhow::Context;

use crate::{broker::Broker, postgres::Postgres, process::free_ports, services::Variable};

/// The database in which each service has its schema.
pub const DATABASE: &str = "orderflow";

/// The services in the order in which they are started: those first that others call.
pub const SERVICES: [&str; 5] = ["orders", "inventory", "email", "worker", "gateway"];

/// Those that work when the customer has an answer already. A queue is there so that a rush of orders
/// can be accepted at once and handled after it, so they let the others go first.
const AFTER_THE_ANSWER: [&str; 3] = ["worker", "inventory", "email"];

/// What the viewer is called among them.
pub const VIEWER: &str = "viewer";

/// Beside the services, whatever listens on a port of its own.
const OTHERS: [&str; 5] = [
    "PostgreSQL",
    "Kafka",
    VIEWER,
    "OTLP over gRPC",
    "OTLP over HTTP",
];

/// A port for everything that listens.
#[derive(Debug)]
pub(super) struct Ports(HashMap<&'static str, u16>);

impl Ports {
    /// The given ones, and for all else any that are free.
    pub(super) fn choose(given: &[(&'static str, u16)]) -> anyhow::Result<Self> {
        let mut ports: HashMap<_, _> = given.iter().copied().collect();
        // Taken meanwhile, so that none of them is found to be free.
        let _given: Vec<_> = ports
            .values()
            .map(|port| TcpListener::bind(("127.0.0.1", *port)))
            .collect();
        let names = SERVICES.into_iter().chain(OTHERS);
        let missing: Vec<_> = names.filter(|name| !ports.contains_key(name)).collect();
        let free = free_ports(missing.len())?;
        ports.extend(missing.into_iter().zip(free));
        Ok(Self(ports))
    }

    pub(super) fn of(&self, name: &str) -> anyhow::Result<u16> {
        let port = self.0.get(name).copied();
        port.with_context(|| format!("there is no port for {name}"))
    }

    fn url(&self, name: &str) -> anyhow::Result<String> {
        Ok(format!("http://127.0.0.1:{}", self.of(name)?))
    }
}

/// Whether a service lets others go first when processors are short.
#[must_use]
pub fn yields(service: &str) -> bool {
    AFTER_THE_ANSWER.contains(&service)
}

/// A service's variables. Each is told where all the others are, and takes what it needs; only the
/// database's password is for those that have a schema in it.
pub(super) fn variables(
    service: &str,
    ports: &Ports,
    postgres: &Postgres,
    broker: &Broker,
) -> anyhow::Result<Vec<Variable>> {
    let mut variables = vec![
        own_or("TOKIO_WORKER_THREADS", threads_each()),
        own_or("WORKER_CONCURRENCY", orders_at_once()),
        ("HOST".to_owned(), "127.0.0.1".into()),
        ("PORT".to_owned(), ports.of(service)?.to_string().into()),
        ("KAFKA_BROKERS".to_owned(), broker.brokers().into()),
    ];
    for called in ["orders", "inventory", "email"] {
        let name = format!("{}_SERVICE_URL", called.to_uppercase());
        variables.push((name, ports.url(called)?.into()));
        if called == service {
            let url = postgres.url(service, DATABASE);
            variables.push(("POSTGRES_URL".to_owned(), url.into()));
        }
    }
    Ok(variables)
}

/// A variable as it is in our own environment, or else with this value.
fn own_or(name: &str, value: usize) -> Variable {
    let value = env::var_os(name).unwrap_or_else(|| value.to_string().into());
    (name.to_owned(), value)
}

/// How many threads a service works with. It shares the machine with four others, PostgreSQL and Kafka:
/// threads for all processors in each of them would mostly wake each other.
fn threads_each() -> usize {
    (processors() / 4).max(1)
}

/// How many orders the worker handles at once. One takes about 140 ms, most of it its mail's, and 5 ms of a
/// processor in all programs together: so 28 for each processor keep it busy. More would wait for each
/// other in here, where they need memory and connections, and not in Kafka, where they need neither.
fn orders_at_once() -> usize {
    (processors() * 32).min(256)
}

fn processors() -> usize {
    thread::available_parallelism().map_or(1, NonZeroUsize::get)
}

/// The viewer's variables.
pub(super) fn viewer_variables(ports: &Ports) -> anyhow::Result<Vec<Variable>> {
    let settings = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../observability/viewer.json"
    );
    let mut variables = vec![
        ("HOST".to_owned(), "127.0.0.1".into()),
        ("VIEWER_SETTINGS".to_owned(), settings.into()),
    ];
    for (variable, part) in [
        ("VIEWER_PORT", VIEWER),
        ("OTLP_GRPC_PORT", "OTLP over gRPC"),
        ("OTLP_HTTP_PORT", "OTLP over HTTP"),
    ] {
        let port = ports.of(part)?.to_string();
        variables.push((variable.to_owned(), port.into()));
    }
    Ok(variables)
}
