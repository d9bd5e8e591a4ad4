//! Whoever is away, hangs or is slow is waited for: in Kafka, and without dead letters.

use std::collections::HashMap;

use domain::attributes::RETRY_COUNT;
use e2e::{
    receiver::Traces,
    shop::{Placed, Shop},
    trace::{Kind, Span, Status, Value},
};
use futures_util::future::join_all;
use serde_json::Value as Json;

use crate::{
    database::Database,
    support::{LIMIT, breakable, eventually},
    topic::Topic,
};

/// Inventory, orders and email are down, and come back one after the other. Each outage costs the order one failed
/// attempt, which shows in its trace; after that it waits at the gate of the service, inside the next attempt.
#[tokio::test]
async fn an_outage_is_waited_out() {
    let mut shop = breakable().await;
    let topic = Topic::at(shop.stack.brokers());
    let letters = topic.dead_letters().await.unwrap().len();
    assert!(shop.stack.service("worker").stop().await);
    let placed = shop.customer().order(&[(1, "ITEM-001")]).await.unwrap();
    let away = ["inventory", "orders", "email"];
    for service in away {
        assert!(shop.stack.service(service).stop().await);
    }
    shop.stack.service("worker").start_again().await.unwrap();
    for service in away {
        expect_waiting_for(&shop, service, 1).await;
        shop.stack.service(service).start_again().await.unwrap();
    }

    expect_confirmed(&shop, &placed).await;
    assert_eq!(topic.dead_letters().await.unwrap().len(), letters);
    let attempts = attempts(&shop, &placed);
    let (last, earlier) = attempts.split_last().expect("attempts");
    assert_eq!(
        (&last.status, last.text("error.type")),
        (&Status::Unset, None)
    );
    for (count, attempt) in earlier.iter().enumerate() {
        assert_eq!(retry_count(attempt), count, "{attempt:?}");
        assert_eq!(attempt.text("error.type"), Some("connect"), "{attempt:?}");
    }
    assert_eq!(retry_count(last), earlier.len());
    assert_eq!(earlier.len(), away.len(), "{attempts:#?}");
}

/// Email refuses for as long as it takes to ask it several times, under many orders. Each order has one failed attempt
/// and one that waits, however long the outage is.
#[tokio::test]
async fn an_outage_costs_each_order_two_attempts() {
    const ORDERS: usize = 40;
    const PROBES: usize = 8;
    let mut shop = breakable().await;
    assert!(shop.stack.service("email").stop().await);
    let customer = shop.customer();
    let orders = join_all((0..ORDERS).map(|_| customer.order(&[(1, "ITEM-001")]))).await;
    let orders: Vec<_> = orders.into_iter().map(Result::unwrap).collect();
    expect_waiting_for(&shop, "email", ORDERS).await;
    let requests = |traces: &Traces| {
        let spans = traces.values().flatten();
        let asked = spans.filter(|span| span.service == "worker" && span.kind == Kind::Client);
        asked
            .filter(|span| span.text("error.type").is_some())
            .count()
    };
    let before = shop.receiver.all().len();
    let probed = shop.receiver.wait_for(LIMIT, |traces| {
        (requests(traces) >= ORDERS + PROBES).then_some(())
    });
    probed.await.expect("probes");
    let during = shop.receiver.all().len() - before;
    assert!(during <= 10 * PROBES, "{during} spans for {PROBES} probes");
    shop.stack.service("email").start_again().await.unwrap();

    let ids: Vec<_> = orders.iter().map(|placed| placed.id.clone()).collect();
    Database::of(&shop).expect_settled(&ids, "confirmed").await;
    super::expect_whole_traces(&shop, &orders).await;
    for placed in &orders {
        let attempts = attempts(&shop, placed);
        assert!(attempts.len() <= 2, "{attempts:#?}");
    }
}

/// Inventory takes connections and says nothing.
#[tokio::test]
async fn a_service_that_hangs_is_waited_for() {
    let mut shop = breakable().await;
    shop.stack.service("inventory").pause();
    let placed = shop.customer().order(&[(1, "ITEM-001")]).await.unwrap();
    expect_waiting_for(&shop, "inventory", 1).await;
    shop.stack.service("inventory").resume();
    expect_confirmed(&shop, &placed).await;
}

/// Email takes ten seconds for a mail, and the worker handles four orders at once. The others wait in
/// Kafka, and those who order do not notice.
#[tokio::test]
async fn what_a_slow_service_holds_up_waits_in_kafka() {
    const ORDERS: usize = 40;
    let mut shop = breakable().await;
    let topic = Topic::at(shop.stack.brokers());
    topic.expect_waiting(0).await;
    for (service, variable, value) in [
        ("email", "FAULT_DELAY_MS", "10000"),
        ("worker", "WORKER_CONCURRENCY", "4"),
    ] {
        let service = shop.stack.service(service);
        assert!(service.stop().await);
        let variable = (variable.to_owned(), value.into());
        service.start_again_with(&[variable]).await.unwrap();
    }
    let customer = shop.customer();
    let orders = join_all((0..ORDERS).map(|_| customer.order(&[(1, "ITEM-001")]))).await;
    let orders: Vec<_> = orders
        .into_iter()
        .map(|placed| placed.unwrap().id)
        .collect();
    topic.expect_waiting(40).await;
    let database = Database::of(&shop);
    let held_up = eventually(async || {
        let statuses = database.statuses().await?;
        let count = |wanted| orders.iter().filter(|id| statuses[*id] == wanted).count();
        match (count("confirmed"), count("pending")) {
            (4, 36) => Ok(()),
            other => Err(format!("{other:?} are confirmed and pending")),
        }
    });
    held_up.await.unwrap_or_else(|wrong| panic!("{wrong}"));

    // The requests that are just being held up have had no effect yet: they come again.
    shop.stack.service("email").kill();
    shop.stack.service("email").start_again().await.unwrap();
    shop.stack.service("worker").restart().await.unwrap();
    database.expect_settled(&orders, "confirmed").await;
}

/// Waits until the worker says that so many orders wait for this service.
pub(super) async fn expect_waiting_for(shop: &Shop, service: &str, orders: usize) {
    let url = format!("{}/readyz", shop.stack.url("worker"));
    let client = reqwest::Client::builder().no_proxy().build();
    let client = client.expect("a client");
    let waiting = eventually(async || {
        let answer = client.get(&url).send().await;
        let report: Json = match answer {
            Ok(answer) => answer.json().await.map_err(|error| error.to_string())?,
            Err(error) => return Err(error.to_string()),
        };
        let waiting: HashMap<String, usize> =
            serde_json::from_value(report["details"]["orders_waiting_for"].clone())
                .map_err(|error| format!("{error}: {report}"))?;
        match waiting.get(service) {
            Some(waiting) if *waiting >= orders => Ok(()),
            _ => Err(format!("{orders} do not wait for {service}: {report}")),
        }
    });
    waiting.await.unwrap_or_else(|wrong| panic!("{wrong}"));
}

pub(super) async fn expect_confirmed(shop: &Shop, placed: &Placed) {
    let order = [placed.id.clone()];
    Database::of(shop).expect_settled(&order, "confirmed").await;
    super::expect_whole_traces(shop, std::slice::from_ref(placed)).await;
}

/// The attempts at the order's message, in the order in which they were made.
fn attempts(shop: &Shop, placed: &Placed) -> Vec<Span> {
    let spans = shop.receiver.spans_of(&placed.trace).into_iter();
    let mut attempts: Vec<_> = spans
        .filter(|span| span.name == "process order.created")
        .collect();
    attempts.sort_by_key(|span| span.start);
    attempts
}

/// How many attempts there were before; the first one does not say.
fn retry_count(attempt: &Span) -> usize {
    match attempt.attribute(RETRY_COUNT) {
        None => 0,
        Some(Value::Int(count)) => usize::try_from(*count).expect("a count"),
        Some(other) => panic!("{other:?} is no count"),
    }
}
