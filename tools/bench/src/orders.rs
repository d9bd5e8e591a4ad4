//! Orders placed through the gateway of a system of our own, by more and more clients.
//!
//! Everything as people run it: PostgreSQL and Kafka durable, all traces on their way to the viewer, the
//! worker at work meanwhile. Each run ends when the last of its orders is confirmed. At the end the
//! books are looked at: each order that was accepted is there once, in orders, in stock and in mail.

use std::{num::NonZeroU32, time::Duration};

use anyhow::Context;
use clap::Args;
use orderflow::stack::VIEWER;
use sqlx::{Connection, PgConnection};

use crate::{
    load::Load,
    measure::{COLUMNS, Figures, Runs, at_least_one, measure},
    report::{Cell, Report},
    shop::{Items, Placed, Shop},
    stage::{Programs, Stage, Traces},
    traces::Times,
};

/// Beyond the columns of every load.
const OF_TRACES: [&str; 4] = ["confirmed p50 ms", "p99 ms ", "queued p50 ms", "p99 ms  "];
/// How long the last confirmation is waited for.
const PATIENCE: Duration = Duration::from_secs(60);
/// Placed before anything is measured.
const WARM_UP: Duration = Duration::from_secs(2);
/// Until the last spans have reached the viewer.
const LAST_SPANS: Duration = Duration::from_secs(1);

/// How orders come, and to what.
#[derive(Debug, Clone, Args)]
pub(crate) struct Options {
    /// How many clients there are, each with one order at a time.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 16, 64, 256].map(at_least_one))]
    clients: Vec<NonZeroU32>,
    /// How many orders come each second, whether earlier ones have been answered or not.
    #[arg(long, value_delimiter = ',', default_values_t = [200].map(at_least_one))]
    rates: Vec<NonZeroU32>,
    /// How many clients order one and the same item, besides.
    #[arg(long, default_value_t = at_least_one(64))]
    one_item_clients: NonZeroU32,
    /// How many orders services, workers and gateways there are.
    #[arg(long, default_value_t = at_least_one(1))]
    replicas: NonZeroU32,
    #[command(flatten)]
    runs: Runs,
    #[command(flatten)]
    programs: Programs,
}

/// One kind of load and what it has shown.
struct Row {
    load: Load,
    items: Items,
    figures: Figures,
    orders: Vec<Placed>,
}

pub(crate) async fn run(options: Options) -> anyhow::Result<Report> {
    let mut stage = Stage::set(&options.programs, Traces::ToViewer).await?;
    let mut shop = open(&mut stage, options.replicas.get()).await?;
    let processes = stage.processes();
    measure(
        &mut shop,
        Load::Closed(at_least_one(16)),
        Items::Spread,
        WARM_UP,
        PATIENCE,
        &[],
    )
    .await?;
    let mut rows = options.rows();
    for _ in 0..options.runs.rounds() {
        for row in &mut rows {
            let time = options.runs.time();
            let run = measure(&mut shop, row.load, row.items, time, PATIENCE, &processes).await?;
            row.figures.add(&run);
            row.orders
                .extend(run.answers.placed.into_iter().map(|(_, order)| order));
        }
    }
    tokio::time::sleep(LAST_SPANS).await;
    let columns = [&["load"], &COLUMNS[..], &OF_TRACES].concat();
    let mut report = Report::new("Orders placed and confirmed", &columns);
    for row in rows {
        report.row(row.cells(&stage.stack.url(VIEWER)).await?);
    }
    report.note(books(&stage).await?);
    Ok(report)
}

/// The door, or the doors.
async fn open(stage: &mut Stage, replicas: u32) -> anyhow::Result<Shop> {
    let mut gateways = vec![stage.stack.gateway_url()];
    for _ in 1..replicas {
        gateways.push(stage.add_replica().await?);
    }
    Shop::at(gateways)
}

impl Options {
    fn rows(&self) -> Vec<Row> {
        let closed = self.clients.iter().map(|clients| Load::Closed(*clients));
        let open = self.rates.iter().map(|rate| Load::Open(*rate));
        let spread = closed.chain(open).map(|load| (load, Items::Spread));
        let one = (Load::Closed(self.one_item_clients), Items::One);
        let row = |(load, items)| Row {
            load,
            items,
            figures: Figures::default(),
            orders: Vec::new(),
        };
        spread.chain([one]).map(row).collect()
    }
}

impl Row {
    async fn cells(self, viewer: &str) -> anyhow::Result<Vec<Cell>> {
        let times = Times::of(viewer, &self.orders).await?;
        let name = match self.items {
            Items::Spread => self.load.to_string(),
            Items::One => format!("{}, one item", self.load),
        };
        let of_traces = [
            Times::quantile(&times.confirmed, 0.5),
            Times::quantile(&times.confirmed, 0.99),
            Times::quantile(&times.queued, 0.5),
            Times::quantile(&times.queued, 0.99),
        ];
        let of_traces = of_traces.map(|figure| Cell::Runs(figure.into_iter().collect()));
        Ok(std::iter::once(Cell::text(name))
            .chain(self.figures.cells())
            .chain(of_traces)
            .collect())
    }
}

/// Whether every order was handled, and none of them twice.
async fn books(stage: &Stage) -> anyhow::Result<String> {
    let mut admin = PgConnection::connect(&stage.stack.database_url("postgres")).await?;
    let query = "SELECT (SELECT count(*) FROM orders.orders),
                        (SELECT count(*) FROM orders.orders WHERE status = 'confirmed'),
                        (SELECT sum(reserved)::bigint FROM inventory.items),
                        (SELECT count(DISTINCT order_id) FROM email.mails),
                        (SELECT count(*) FROM email.transport)";
    let books: (i64, i64, i64, i64, i64) = sqlx::query_as(query)
        .fetch_one(&mut admin)
        .await
        .context("the books cannot be read")?;
    let (orders, confirmed, reserved, mails, sent) = books;
    Ok(format!(
        "{orders} orders, {confirmed} of them confirmed; {reserved} pieces reserved; \
         mail for {mails} of them, sent {sent} times by now."
    ))
}
