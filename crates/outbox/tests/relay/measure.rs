//! How fast the relay is, with a broker in this process and a PostgreSQL without fsync:
//! `cargo test --release -p outbox --test relay -- --ignored --nocapture --test-threads 1 measure`.

use std::time::Instant;

use crate::setup::{Setup, until};

const ROWS: i32 = 100_000;
/// As large as an event of an order.
const PAYLOAD: &str = "repeat('x', 400)";

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
#[ignore = "a measurement"]
async fn a_backlog() {
    let setup = Setup::new("backlog").await;
    println!("backlog: {:.0}/s", drain(&setup).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
#[ignore = "a measurement"]
async fn a_backlog_during_a_long_transaction() {
    let setup = Setup::new("backlog.snapshot").await;
    let mut long = setup.admin.begin().await.unwrap();
    let isolation = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ";
    sqlx::query(isolation).execute(&mut *long).await.unwrap();
    let select = sqlx::query("SELECT FROM orders.outbox LIMIT 1");
    select.execute(&mut *long).await.unwrap();
    println!(
        "backlog during a long transaction: {:.0}/s",
        drain(&setup).await
    );
}

async fn drain(setup: &Setup) -> f64 {
    setup.append_many(ROWS, "number", PAYLOAD).await;
    let relay = setup.relay();
    let started = Instant::now();
    setup.until_empty().await;
    let rate = f64::from(ROWS) / started.elapsed().as_secs_f64();
    relay.stop().await;
    rate
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
#[ignore = "a measurement"]
async fn a_hot_key() {
    const HOT: i64 = 10_000;
    let setup = Setup::new("hot").await;
    setup.append_many(10_000, "'hot'", PAYLOAD).await;
    let relay = setup.relay();
    let started = Instant::now();
    until("1,000 are sent", async || {
        setup.rows("true").await <= HOT - 1_000
    })
    .await;
    let rate = 1_000.0 / started.elapsed().as_secs_f64();
    println!("one key with 10,000 rows: {rate:.0}/s");
    for number in 0..20 {
        setup.append(&format!("other {number}"), "x", true).await;
    }
    let appended = Instant::now();
    until("the others are sent", async || {
        setup.rows("key <> 'hot'").await == 0
    })
    .await;
    println!("20 other keys took {:?}", appended.elapsed());
    relay.stop().await;
}
