//! Starts the worker; wiring only.

use std::process::ExitCode;

use anyhow::Context;
use domain::OrderCreated;
use messaging::{Consumer, ConsumerConfig, topics};
use service::Listen;
use tokio_util::sync::CancellationToken;
use url::Url;
use worker::{
    email::Email, handler::OrderHandler, inventory::Inventory, orders::Orders,
    readiness::WorkerReadiness,
};

/// Consumes order.created: reserves the stock, confirms or cancels the order, has a mail sent.
#[derive(Debug, clap::Parser)]
struct Config {
    #[command(flatten)]
    listen: Listen,
    /// The brokers to start from, `host:port`, separated by commas.
    #[arg(long, env = "KAFKA_BROKERS")]
    kafka_brokers: String,
    /// Base URL of the orders service.
    #[arg(long, env = "ORDERS_SERVICE_URL")]
    orders_service_url: Url,
    /// Base URL of the inventory service.
    #[arg(long, env = "INVENTORY_SERVICE_URL")]
    inventory_service_url: Url,
    /// Base URL of the email service.
    #[arg(long, env = "EMAIL_SERVICE_URL")]
    email_service_url: Url,
    /// How many orders are handled at once, at most.
    #[arg(
        long,
        env = "WORKER_CONCURRENCY",
        default_value_t = 256,
        value_parser = clap::value_parser!(u16).range(1..=4096)
    )]
    worker_concurrency: u16,
}

fn main() -> ExitCode {
    let service = telemetry::Service {
        name: "worker",
        namespace: "orderflow",
        version: env!("CARGO_PKG_VERSION"),
        baggage_attributes: &["order.id"],
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
    let mut consumer = ConsumerConfig::new(&config.kafka_brokers, "worker", OrderCreated::TOPIC);
    consumer.concurrency = config.worker_concurrency.into();
    let consumer = Consumer::new(&consumer)?;

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
    let create = topics::create_until_there(&config.kafka_brokers, &topics, &shutdown);
    let ((), served, consumed) = tokio::join!(create, serve, consume);
    served?;
    consumed.context("the consumer cannot go on")
}
