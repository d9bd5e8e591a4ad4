//! Any process is killed at any moment, alone or with another one. When all is up again, every order
//! that was accepted is there once and confirmed or cancelled, stock adds up, and everybody got one mail.
//!
//! Only of the mails that were in flight there may be two, see `email/src/mailer.rs`. And a killed
//! service takes spans with it: those that were open, and those not exported yet. The trace leads from
//! the click to the mail all the same.

use std::collections::HashSet;

use e2e::{
    history::Mail,
    shop::{Placed, Shop},
};
use messaging::Message;
use rdkafka::producer::FutureRecord;

use super::expect_traces;
use crate::{
    database::Database,
    load::Load,
    one_trace::placed_and,
    support::{breakable, eventually, expect_tree},
    topic::{PARTITIONS, TOPIC, Topic},
};

const ORDERS_EACH_SECOND: u32 = 20;
/// All that can be killed, in the order in which it is started again. Only the chaos test has second instances.
pub(crate) const PARTS: [&str; 10] = [
    "PostgreSQL",
    "Kafka",
    "orders",
    "orders-2",
    "inventory",
    "email",
    "worker",
    "worker-2",
    "gateway",
    "gateway-2",
];

#[tokio::test]
async fn gateway() {
    nothing_is_lost_with(&["gateway"]).await;
}

#[tokio::test]
async fn orders() {
    nothing_is_lost_with(&["orders"]).await;
}

#[tokio::test]
async fn worker() {
    nothing_is_lost_with(&["worker"]).await;
}

#[tokio::test]
async fn inventory() {
    nothing_is_lost_with(&["inventory"]).await;
}

#[tokio::test]
async fn email() {
    nothing_is_lost_with(&["email"]).await;
}

#[tokio::test]
async fn postgres() {
    nothing_is_lost_with(&["PostgreSQL"]).await;
}

#[tokio::test]
async fn kafka() {
    nothing_is_lost_with(&["Kafka"]).await;
}

#[tokio::test]
async fn orders_and_kafka() {
    nothing_is_lost_with(&["orders", "Kafka"]).await;
}

#[tokio::test]
async fn worker_and_email() {
    nothing_is_lost_with(&["worker", "email"]).await;
}

#[tokio::test]
async fn inventory_and_postgres() {
    nothing_is_lost_with(&["inventory", "PostgreSQL"]).await;
}

/// The worker dies when it has confirmed the order and asks for the mail, which email has not begun with.
/// Its `process` span was open, and is lost: what was done in it stands beside the rest, in the same
/// trace. The second delivery is complete.
#[tokio::test]
async fn what_is_left_of_a_trace() {
    let mut shop = breakable().await;
    shop.stack.service("email").pause();
    let placed = shop.customer().order(&[(1, "ITEM-001")]).await.unwrap();
    let first_delivery = "
worker CLIENT POST http://inventory/stock/ITEM-001/reserve  200
  inventory SERVER POST /stock/{item_id}/reserve  200
    inventory CLIENT BEGIN
    inventory CLIENT INSERT inventory.reservations
    inventory CLIENT UPDATE inventory.items
    inventory CLIENT COMMIT
worker CLIENT PATCH http://orders/orders/{id}/status  200
  orders SERVER PATCH /orders/{id}/status  200
    orders CLIENT UPDATE orders.orders
    orders CLIENT SELECT orders.order_items
";
    let before = placed_and(first_delivery, &placed);
    expect_tree(&shop, &placed.trace, &before).await;
    others_are_done(&shop, &placed).await;
    let killed = ["worker", "email"];
    for part in killed {
        kill(&mut shop, part);
    }
    assert_eq!(start_again(&mut shop, &killed).await, HashSet::new());

    let second_delivery = "
        worker CONSUMER process order.created  linked
          worker CLIENT POST http://inventory/stock/ITEM-001/reserve  200
            inventory SERVER POST /stock/{item_id}/reserve  200
              inventory CLIENT BEGIN
              inventory CLIENT INSERT inventory.reservations
              inventory CLIENT SELECT inventory.reservations
              inventory CLIENT SELECT inventory.items
          worker CLIENT PATCH http://orders/orders/{id}/status  200
            orders SERVER PATCH /orders/{id}/status  200
              orders CLIENT UPDATE orders.orders
              orders CLIENT SELECT orders.orders
              orders CLIENT SELECT orders.order_items
          worker CLIENT POST http://email/send  202
            email SERVER POST /send  202
              email CLIENT INSERT email.mails
              email CLIENT INSERT email.transport
              email CLIENT UPDATE email.mails
";
    let after = [second_delivery, first_delivery].concat();
    expect_tree(&shop, &placed.trace, &placed_and(&after, &placed)).await;
    let order = [placed.id];
    Database::of(&shop)
        .expect_settled(&order, "confirmed")
        .await;
}

/// A message in another partition is given up, and the worker has told Kafka so: that of this order is
/// all that it has not done.
async fn others_are_done(shop: &Shop, placed: &Placed) {
    let topic = Topic::at(shop.stack.brokers());
    let message = topic.message_of(&placed.id).await;
    let another = (message.partition() + 1) % PARTITIONS;
    let poison = FutureRecord::to(TOPIC).partition(another);
    topic.send(poison.payload(&b"no order"[..])).await;
    topic.expect_waiting(1).await;
}

async fn nothing_is_lost_with(killed: &[&str]) {
    let mut shop = breakable().await;
    let database = Database::of(&shop);
    let before = database.statuses().await.unwrap_or_default().len();
    let mut load = Load::start(shop.customer(), ORDERS_EACH_SECOND);
    load.goes_on_for(20).await;
    for part in killed {
        kill(&mut shop, part);
    }
    load.goes_on_for(20).await;
    let doubled = start_again(&mut shop, killed).await;
    load.goes_on_for(20).await;

    let orders = load.end().await;
    database.expect_at_rest(&orders.accepted, &doubled).await;
    let after = database.statuses().await.unwrap_or_default().len();
    assert_eq!(
        after - before,
        orders.accepted.len(),
        "one for each customer"
    );
    expect_traces(&shop, &orders.accepted, killed).await;
    database.forget_doubled_mails().await;
}

/// Ends a part as a crash would.
pub(crate) fn kill(shop: &mut Shop, part: &str) {
    match part {
        "PostgreSQL" => shop.stack.postgres().kill(),
        "Kafka" => shop.stack.kafka().kill(),
        service => shop.stack.service(service).kill(),
    }
}

/// Starts again what was killed. Answers with the mails of which two may come of it.
pub(crate) async fn start_again(shop: &mut Shop, killed: &[&str]) -> HashSet<Mail> {
    let mut in_flight = HashSet::new();
    for part in PARTS.into_iter().filter(|part| killed.contains(part)) {
        if part == "email" {
            in_flight = mails_in_flight(shop).await;
        }
        let started = match part {
            "PostgreSQL" => shop.stack.postgres().start_again().await,
            "Kafka" => shop.stack.kafka().start_again().await,
            service => shop.stack.service(service).start_again().await,
        };
        started.unwrap_or_else(|error| panic!("{part} does not start again: {error:#}"));
        if part == "PostgreSQL" {
            in_flight = mails_in_flight(shop).await;
        }
    }
    in_flight
}

pub(crate) async fn mails_in_flight(shop: &Shop) -> HashSet<Mail> {
    let database = Database::of(shop);
    let mails = eventually(async || database.mails_in_flight().await).await;
    mails.unwrap_or_else(|wrong| panic!("{wrong}"))
}
