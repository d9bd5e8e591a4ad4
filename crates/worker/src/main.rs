//! Starts the worker; wiring only.

use std::{num::NonZeroUsize, process::ExitCode, time::Duration};

use anyhow::Context;
use delivery::{Consumer, topics};
use domain::{OrderCreated, attributes};
use messaging::Instrumentation;
use service::{KafkaArgs, Listen};
use tokio_util::sync::CancellationToken;
use url::Url;
use worker::{
    email::Email, handler::OrderHandler, inventory::Inventory, orders::Orders,
    readiness::WorkerReadiness,
};

/// The consumer group, whose members share the topic's partitions.
const GROUP: &str = env!("CARGO_PKG_NAME");

/// With two seconds for the last spans this makes nine, less than the ten that Docker and Kubernetes leave between
/// SIGTERM and SIGKILL.
const SHUTDOWN: Duration = Duration::from_secs(7);

/// Consumes order.created: reserves the stock, confirms or cancels the order, has a mail sent.
#[derive(Debug, clap::Parser)]
struct Config {
    #[command(flatten)]
    listen: Listen,
    #[command(flatten)]
    kafka: KafkaArgs,
    /// Base URL of the orders service.
    #[arg(long, env = "ORDERS_SERVICE_URL")]
    orders_service_url: Url,
    /// Base URL of the inventory service.
    #[arg(long, env = "INVENTORY_SERVICE_URL")]
    inventory_service_url: Url,
    /// Base URL of the email service.
    #[arg(long, env = "EMAIL_SERVICE_URL")]
    email_service_url: Url,
    /// How many orders are handled at once, 1 to 4096.
    #[arg(long, env = "WORKER_CONCURRENCY", default_value = "256", value_parser = parse_concurrency)]
    worker_concurrency: NonZeroUsize,
}

/// An order is thousands of small allocations that live for some milliseconds; jemalloc makes them cheaper. Its settings
/// are in `.cargo/config.toml`.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    let service = telemetry::Service {
        name: "worker",
        namespace: "orderflow",
        version: env!("CARGO_PKG_VERSION"),
        baggage_attributes: &[attributes::ORDER_ID],
        trust_remote_sampling: true,
    };
    service::run(service, start)
}

async fn start(config: Config, shutdown: CancellationToken) -> anyhow::Result<()> {
    let handler = OrderHandler {
        inventory: Inventory::at(config.inventory_service_url)?,
        orders: Orders::at(config.orders_service_url)?,
        email: Email::at(config.email_service_url)?,
    };
    let mut kafka = config.kafka.client_config(GROUP);
    kafka.set("group.id", GROUP);
    let spans = Instrumentation::new(&kafka).with_attribute_prefix(attributes::MESSAGING);
    let consumer = Consumer::builder(&kafka, OrderCreated::TOPIC)
        .concurrency(config.worker_concurrency)
        .shutdown_timeout(SHUTDOWN)
        .instrumentation(spans)
        .build()?;

    let listener = config.listen.bind().await?;
    let app = service::app(axum::Router::new(), WorkerReadiness(consumer.membership()));
    let topics = [
        topics::Topic::new(OrderCreated::TOPIC, OrderCreated::PARTITIONS),
        topics::Topic::dead_letters_of(OrderCreated::TOPIC),
    ];
    // Whichever of the two ends, for whatever reason, the other one ends too.
    let serve = async {
        let _end = shutdown.clone().drop_guard();
        service::serve(listener, app, shutdown.clone()).await
    };
    let consume = async {
        let _end = shutdown.clone().drop_guard();
        consumer.run(handler, shutdown.clone()).await
    };
    let create = topics::create_until_there(&kafka, &topics, &shutdown);
    let ((), served, consumed) = tokio::join!(create, serve, consume);
    served?;
    consumed.context("the consumer cannot go on")
}

fn parse_concurrency(text: &str) -> Result<NonZeroUsize, &'static str> {
    let number = text
        .parse()
        .ok()
        .filter(|number: &NonZeroUsize| number.get() <= 4096);
    number.ok_or("must be a number from 1 to 4096")
}
