//! Whoever is asked to end finishes what it has begun, within ten seconds, and sends its last spans.

use std::{
    collections::HashSet,
    time::{Duration, Instant, SystemTime},
};

use e2e::{
    shop::Shop,
    trace::{Kind, Span},
};

use super::{
    expect_whole_traces,
    waits::{expect_confirmed, expect_waiting_for},
};
use crate::{
    database::Database,
    load::{Load, Orders},
    support::{breakable, eventually},
};

const ORDERS_EACH_SECOND: u32 = 20;
/// Within this time of SIGTERM every service ends.
const PROMISED: Duration = Duration::from_secs(10);

#[tokio::test]
async fn gateway() {
    let orders = nothing_is_cut_off_by_the_end_of("gateway").await;
    for error in orders.failures {
        let error = error.downcast_ref::<reqwest::Error>();
        let refused = error.is_some_and(reqwest::Error::is_connect);
        assert!(refused, "somebody was let in and got no answer: {error:?}");
    }
}

#[tokio::test]
async fn orders() {
    nothing_is_cut_off_by_the_end_of("orders").await;
}

#[tokio::test]
async fn worker() {
    let orders = nothing_is_cut_off_by_the_end_of("worker").await;
    assert!(orders.failures.is_empty(), "{:?}", orders.failures);
}

#[tokio::test]
async fn inventory() {
    let orders = nothing_is_cut_off_by_the_end_of("inventory").await;
    assert!(orders.failures.is_empty(), "{:?}", orders.failures);
}

#[tokio::test]
async fn email() {
    let orders = nothing_is_cut_off_by_the_end_of("email").await;
    assert!(orders.failures.is_empty(), "{:?}", orders.failures);
}

/// A worker that waits for somebody does not wait at its end. What it waited for comes again.
#[tokio::test]
async fn a_worker_that_waits() {
    let mut shop = breakable().await;
    assert!(shop.stack.service("email").stop().await);
    let placed = shop.customer().order(&[(1, "ITEM-001")]).await.unwrap();
    expect_waiting_for(&shop, "email", 1).await;
    stop(&mut shop, "worker").await;
    shop.stack.service("email").start_again().await.unwrap();
    shop.stack.service("worker").start_again().await.unwrap();
    expect_confirmed(&shop, &placed).await;
}

/// A handler that hangs is cancelled in time. Its order comes again.
#[tokio::test]
async fn a_worker_whose_handler_hangs() {
    let mut shop = breakable().await;
    shop.stack.service("email").pause();
    let placed = shop.customer().order(&[(1, "ITEM-001")]).await.unwrap();
    let database = Database::of(&shop);
    let confirmed = eventually(async || {
        let statuses = database.statuses().await?;
        let status = statuses.get(&placed.id).cloned().unwrap_or_default();
        (status == "confirmed").then_some(()).ok_or(status)
    });
    confirmed.await.expect("an order whose mail hangs");
    stop(&mut shop, "worker").await;
    shop.stack.service("email").resume();
    shop.stack.service("worker").start_again().await.unwrap();
    expect_confirmed(&shop, &placed).await;
}

/// The broker does not answer any more: neither leaving the group nor the last events hold up the end.
#[tokio::test]
async fn a_worker_and_orders_without_a_broker() {
    let mut shop = breakable().await;
    shop.stack.kafka().kill();
    let placed = shop.customer().order(&[(1, "ITEM-001")]).await.unwrap();
    stop(&mut shop, "worker").await;
    stop(&mut shop, "orders").await;
    shop.stack.kafka().start_again().await.unwrap();
    shop.stack.service("orders").start_again().await.unwrap();
    shop.stack.service("worker").start_again().await.unwrap();
    expect_confirmed(&shop, &placed).await;
}

async fn nothing_is_cut_off_by_the_end_of(service: &str) -> Orders {
    let mut shop = breakable().await;
    let since = now();
    let mut load = Load::start(shop.customer(), ORDERS_EACH_SECOND);
    load.goes_on_for(20).await;
    stop(&mut shop, service).await;
    load.goes_on_for(20).await;
    shop.stack
        .service(service)
        .start_again()
        .await
        .expect("a new start");
    load.goes_on_for(20).await;

    let orders = load.end().await;
    let database = Database::of(&shop);
    database
        .expect_at_rest(&orders.accepted, &HashSet::new())
        .await;
    expect_whole_traces(&shop, &orders.accepted).await;
    expect_answers(&shop, since);
    orders
}

/// Ends it as one ought to: it does so by itself, in time, and with a good conscience.
async fn stop(shop: &mut Shop, service: &str) {
    let service = shop.stack.service(service);
    let asked = Instant::now();
    let ended = service.stop().await;
    let took = asked.elapsed();
    assert!(
        ended && took <= PROMISED,
        "{} took {took:?}",
        service.name()
    );
    let status = service.process().exited();
    assert!(status.is_some_and(|status| status.success()), "{status:?}");
}

/// Whatever a service has begun with since then, it has answered. A request that met a connection just
/// when it was closed is none of these: it is as if it had not been let in.
fn expect_answers(shop: &Shop, since: u64) {
    let spans = shop.receiver.all();
    let servers = spans.iter().filter(|span| span.kind == Kind::Server);
    let begun: HashSet<_> = servers.filter_map(|span| span.parent.as_ref()).collect();
    let is_cut_off = |span: &&Span| {
        let answered = span.attribute("http.response.status_code").is_some();
        span.start >= since && begun.contains(&span.id) && !answered
    };
    let cut_off: Vec<_> = spans.iter().filter(is_cut_off).collect();
    assert!(cut_off.is_empty(), "{cut_off:?}");
}

/// In nanoseconds since 1970, as spans have it.
fn now() -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let now = now.expect("a clock that is set").as_nanos();
    u64::try_from(now).expect("a time before 2554")
}
