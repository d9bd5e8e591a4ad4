//! What this machine could do at most: PostgreSQL, the disk and the broker, each by itself.
//!
//! PostgreSQL gets the very statements that one order makes the services run, in the same transactions,
//! over a number of connections; nothing else is in the way, no HTTP, no JSON, no Kafka, no spans. How many
//! orders each second that comes to is the yardstick of this machine for a system with these promises.
//! The relay's two statements are left out: they serve hundreds of orders at once.

mod statements;

use std::{num::NonZeroU32, sync::Arc, time::Duration};

use ::messaging::{FutureRecord, Instrumentation, Producer};
use clap::Args;
use delivery::{
    Logging,
    topics::{self, Topic},
};
use domain::OrderId;
use orderflow::{
    artifacts::Artifacts,
    kafka::{self, Kafka},
    postgres::{self, Postgres, data_directory},
};
use rdkafka::ClientConfig;
use sqlx::postgres::{PgPool, PgPoolOptions};
use tokio::{
    task::{JoinSet, spawn_blocking},
    time::Instant,
};

use crate::{
    disk::Disk,
    load::histogram,
    measure::at_least_one,
    report::{Cell, Report},
    stage::Place,
};

const TOPIC: &str = "bench.limit";
/// About what an order's event is.
const PAYLOAD: [u8; 250] = [b'x'; 250];
const COLUMNS: [&str; 4] = ["", "each second", "p50 ms", "p99 ms"];

/// How long, and over how many connections.
#[derive(Debug, Clone, Args)]
pub(crate) struct Options {
    /// How many connections the statements go over.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 16, 32, 64].map(at_least_one))]
    connections: Vec<NonZeroU32>,
    /// How many messages are on their way to the broker at once.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 64, 1_000].map(at_least_one))]
    messages: Vec<NonZeroU32>,
    /// How many seconds one run takes.
    #[arg(long, default_value_t = at_least_one(4))]
    seconds: NonZeroU32,
    /// How many runs there are of each kind, in turns.
    #[arg(long, default_value_t = at_least_one(5))]
    rounds: NonZeroU32,
}

/// Something that is done again and again, by so many at once.
struct Row {
    name: String,
    what: What,
    at_once: u32,
    each_second: Vec<f64>,
    median: Vec<f64>,
    slowest: Vec<f64>,
}

#[derive(Debug, Clone, Copy)]
enum What {
    Sync,
    Commit,
    Order,
    Send,
}

/// What it is done to.
struct Machine {
    disk: Disk,
    producer: Producer<Logging>,
    postgres: Postgres,
    _kafka: Kafka,
    // Dropped last, when nobody writes there any more.
    _place: Place,
}

pub(crate) async fn run(options: Options) -> anyhow::Result<Report> {
    let machine = Arc::new(Machine::start().await?);
    let mut rows = options.rows();
    let time = Duration::from_secs(options.seconds.get().into());
    for _ in 0..options.rounds.get() {
        for row in &mut rows {
            row.run(&machine, time).await?;
        }
    }
    let mut report = Report::new(
        "PostgreSQL, the disk and the broker by themselves",
        &COLUMNS,
    );
    for row in rows {
        let figures = [row.each_second, row.median, row.slowest].map(Cell::Runs);
        report.row([Cell::text(row.name)].into_iter().chain(figures).collect());
    }
    Ok(report)
}

impl Options {
    fn rows(&self) -> Vec<Row> {
        let sync = Row::new("fdatasync of 8 kB".to_owned(), What::Sync, 1);
        let commit = Row::new(
            "commit of one row, 1 connection".to_owned(),
            What::Commit,
            1,
        );
        let orders = self.connections.iter().map(|connections| {
            let name = format!("an order's statements, {connections} connections");
            Row::new(name, What::Order, connections.get())
        });
        let sends = self.messages.iter().map(|messages| {
            let name = format!("send, {messages} on their way");
            Row::new(name, What::Send, messages.get())
        });
        [sync, commit]
            .into_iter()
            .chain(orders)
            .chain(sends)
            .collect()
    }
}

impl Machine {
    async fn start() -> anyhow::Result<Self> {
        let place = Place::new()?;
        let artifacts = spawn_blocking(Artifacts::fetch).await??;
        let options = postgres::Options {
            directory: place.postgres(),
            port: None,
            durable: true,
            temporary: false,
        };
        let postgres = Postgres::start(&artifacts, options).await?;
        migrate::up(&postgres.admin_url(), &postgres.roles()).await?;
        let options = kafka::Options {
            directory: place.kafka(),
            port: None,
        };
        let kafka = Kafka::start(&artifacts, options).await?;
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", kafka.brokers())
            .set("client.id", "bench");
        topics::create(&config, &[Topic::new(TOPIC, 6)]).await?;
        Ok(Self {
            disk: Disk::in_directory(&data_directory(&place.postgres()))?,
            producer: delivery::producer(&config, &Instrumentation::new(&config))?,
            postgres,
            _kafka: kafka,
            _place: place,
        })
    }

    /// Connections as the services have them; each is made when it is first needed.
    fn pool(&self, connections: u32) -> sqlx::Result<PgPool> {
        PgPoolOptions::new()
            .max_connections(connections)
            .connect_lazy(&self.postgres.admin_url())
    }
}

impl Row {
    fn new(name: String, what: What, at_once: u32) -> Self {
        Self {
            name,
            what,
            at_once,
            each_second: Vec::new(),
            median: Vec::new(),
            slowest: Vec::new(),
        }
    }

    async fn run(&mut self, machine: &Arc<Machine>, time: Duration) -> anyhow::Result<()> {
        let begun = Instant::now();
        let mut working = JoinSet::new();
        let pool = machine.pool(self.at_once)?;
        for _ in 0..self.at_once {
            let (machine, pool) = (Arc::clone(machine), pool.clone());
            working.spawn(self.what.again_and_again(machine, pool, begun + time));
        }
        let mut times = histogram()?;
        while let Some(done) = working.join_next().await {
            for time in done?? {
                times.saturating_record(u64::try_from(time.as_micros()).unwrap_or(u64::MAX));
            }
        }
        pool.close().await;
        self.each_second
            .push(times.len() as f64 / begun.elapsed().as_secs_f64());
        self.median
            .push(times.value_at_quantile(0.5) as f64 / 1_000.0);
        self.slowest
            .push(times.value_at_quantile(0.99) as f64 / 1_000.0);
        Ok(())
    }
}

impl What {
    /// How long it took each time.
    async fn again_and_again(
        self,
        machine: Arc<Machine>,
        pool: PgPool,
        end: Instant,
    ) -> anyhow::Result<Vec<Duration>> {
        let mut times = Vec::new();
        while Instant::now() < end {
            let begun = Instant::now();
            self.once(&machine, &pool, times.len()).await?;
            times.push(begun.elapsed());
        }
        Ok(times)
    }

    async fn once(self, machine: &Machine, pool: &PgPool, number: usize) -> anyhow::Result<()> {
        let id = OrderId::generate();
        match self {
            Self::Sync => machine.disk.write_and_sync()?,
            Self::Commit => statements::commit(pool, id).await?,
            Self::Order => statements::order(pool, id, number).await?,
            Self::Send => {
                let key = id.to_string();
                let record = FutureRecord::to(TOPIC).key(&key).payload(&PAYLOAD[..]);
                machine.producer.send(record, Duration::ZERO).await?;
            }
        }
        Ok(())
    }
}
