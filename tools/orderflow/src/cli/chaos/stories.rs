//! The stories, each as a person would tell it.

use std::{env, time::Duration};

use delivery::dead_letter::DeadLetter;
use messaging::{FutureRecord, Instrumentation, Message};
use orderflow::dead_letters::DeadLetters;
use rdkafka::ClientConfig;
use uuid::Uuid;

use super::{
    super::{dlq, screen::say},
    stage::{Order, Stage, wait_until},
};

/// The trace to look at, and what for.
pub(super) type Ending = (Option<String>, String);

/// Long enough to be seen in the trace.
const OUTAGE: Duration = Duration::from_secs(8);

const IN_STOCK: &[(&str, u32)] = &[("ITEM-001", 1)];
/// Of the second one there never were so many.
const SOLD_OUT: &[(&str, u32)] = &[("ITEM-001", 1), ("ITEM-010", 10_000)];

pub(super) async fn broker_down(stage: &Stage) -> anyhow::Result<Ending> {
    stage.take_away("Kafka").await?;
    let order = stage.place(IN_STOCK).await?;
    say(format_args!(
        "Its event waits in the outbox, for {OUTAGE:?}."
    ));
    tokio::time::sleep(OUTAGE).await;
    stage.put_back().await?;
    ends(stage, &order, "confirmed").await?;
    Ok((
        order.trace_id,
        "  `POST /orders`, which was answered at once, and `send order.created`, which lasts until Kafka is\n  \
         back (`orderflow.outbox.wait_time`: how long the event lay in the outbox before that, in seconds).\n  \
         It is one trace all the same."
            .to_owned(),
    ))
}

pub(super) async fn worker_crash(stage: &Stage) -> anyhow::Result<Ending> {
    // Holds the worker up, so that it is in the middle of the order for certain.
    stage
        .restart_with("email", &[("FAULT_DELAY_MS", "5000")])
        .await?;
    let order = stage.place(IN_STOCK).await?;
    stage.becomes(&order, "confirmed").await?;
    stage.kill("worker").await?;
    stage.put_back().await?;
    stage.has_its_mail(&order).await?;
    Ok((
        order.trace_id,
        "  the calls of the first attempt, whose `process order.created` died with the worker and is\n  \
         missing; the complete second one, some seconds later, when Kafka had given up the dead worker.\n  \
         The stock was reserved once, and there is one mail."
            .to_owned(),
    ))
}

pub(super) async fn poison(stage: &Stage) -> anyhow::Result<Ending> {
    let key = format!("poison-{}", Uuid::new_v4());
    let brokers = stage.part("Kafka")?.address;
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", brokers)
        .set("client.id", "chaos");
    let producer = delivery::producer(&config, &Instrumentation::new(&config))?;
    let message = FutureRecord::to("order.created")
        .key(&key)
        .payload("no order");
    producer.send(message, Duration::ZERO).await?;
    say(format_args!(
        "A message that is no order was sent, with the key {key}."
    ));
    let order = stage.place(IN_STOCK).await?;
    ends(stage, &order, "confirmed").await?;
    let letter = dead_letter(stage, &key).await?;
    Ok((
        dlq::trace_id(&letter),
        format!(
            "  `process order.created` with the reason why, and `send order.created.dlq` below it. The\n  \
             order behind it was not held up. `{} dlq list` has the message.",
            us()
        ),
    ))
}

pub(super) async fn email_500(stage: &Stage) -> anyhow::Result<Ending> {
    stage
        .restart_with("email", &[("FAULT_ERROR_RATE", "1")])
        .await?;
    let order = stage.place(IN_STOCK).await?;
    stage.becomes(&order, "confirmed").await?;
    say("Email is asked five times, within about ten seconds.");
    dead_letter(stage, &order.id).await?;
    Ok((
        order.trace_id,
        format!(
            "  five times `process order.created`, each with the error of `POST /send`, and below the last\n  \
             one `send order.created.dlq`. The order is confirmed, and its mail is missing. Email works\n  \
             again now: `{} dlq replay --order {}` sends it, in the same trace.",
            us(),
            order.id
        ),
    ))
}

pub(super) async fn slow_email(stage: &Stage) -> anyhow::Result<Ending> {
    stage
        .restart_with("email", &[("FAULT_DELAY_MS", "10000")])
        .await?;
    let mut order = stage.place(IN_STOCK).await?;
    for _ in 1..5 {
        order = stage.place(IN_STOCK).await?;
    }
    ends(stage, &order, "confirmed").await?;
    Ok((
        order.trace_id,
        "  `POST /send`, ten seconds long, long after `POST /orders` was answered. The orders were\n  \
         confirmed at once and did not wait for each other's mails."
            .to_owned(),
    ))
}

pub(super) async fn out_of_stock(stage: &Stage) -> anyhow::Result<Ending> {
    let order = stage.place(SOLD_OUT).await?;
    ends(stage, &order, "cancelled").await?;
    Ok((
        order.trace_id,
        "  two calls to reserve, the second answered with 409; then the order is cancelled, both items\n  \
         are released, and the customer is told. `process order.created` has no error: this is an\n  \
         outcome, not a failure."
            .to_owned(),
    ))
}

/// The order is decided and its customer told.
async fn ends(stage: &Stage, order: &Order, status: &str) -> anyhow::Result<()> {
    stage.becomes(order, status).await?;
    stage.has_its_mail(order).await
}

/// The dead letter with this key, once it is there.
async fn dead_letter(stage: &Stage, key: &str) -> anyhow::Result<DeadLetter> {
    let letters = DeadLetters::at(&stage.part("Kafka")?.address)?;
    let mut found = None;
    wait_until("a dead letter", async || {
        let all = letters.read()?;
        let with_key = |letter: &DeadLetter| letter.message().key() == Some(key.as_bytes());
        found = all.into_iter().find(with_key);
        Ok(found.is_some())
    })
    .await?;
    say("It lies among the dead letters.");
    found.ok_or_else(|| anyhow::anyhow!("there is no dead letter"))
}

/// How this program was called.
fn us() -> String {
    env::args().next().unwrap_or_else(|| "orderflow".to_owned())
}
