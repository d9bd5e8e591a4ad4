//! Which of several relays sends, and what it does when it loses the lock.

use outbox::RelayStatus;

use crate::{
    child::{Process, send_signal},
    setup::{Setup, until},
};

/// A process of PostgreSQL that is stopped; goes on when dropped.
struct Frozen(i32);

impl Frozen {
    fn new(pid: i32) -> Self {
        send_signal("-STOP", pid);
        Self(pid)
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        send_signal("-CONT", self.0);
    }
}

async fn terminate(setup: &Setup, pid: i32) {
    let terminated = sqlx::query_scalar("SELECT pg_terminate_backend($1)").bind(pid);
    let terminated: bool = terminated.fetch_one(&setup.admin).await.unwrap();
    assert!(terminated);
}

#[tokio::test]
async fn one_relays_at_a_time_and_another_takes_over() {
    let setup = Setup::new("take.over").await;
    let first = setup.relay();
    first.until_status(RelayStatus::Active).await;
    let second = setup.relay();
    second.until_status(RelayStatus::Standby).await;
    setup.append("k", "sent by the first", true).await;
    setup.until_empty().await;
    assert_eq!(setup.lock_holders().await.len(), 1);
    assert_eq!(second.status(), RelayStatus::Standby);

    first.stop().await;
    setup.append("k", "sent by the second", true).await;
    setup.until_empty().await;
    assert_eq!(second.status(), RelayStatus::Active);
    second.stop().await;
    let expected = ["sent by the first", "sent by the second"];
    assert_eq!(setup.received().await, expected);
}

/// The relay has as much in flight as it may, so it neither reads nor deletes.
#[tokio::test]
async fn a_lock_that_is_lost_while_the_broker_is_down_is_noticed() {
    let setup = Setup::new("lost.lock").await;
    setup.cluster.broker_down(1).unwrap();
    setup.append_many(1_000, "number", "number").await;
    let first = setup.relay();
    let holder = setup.lock_holder().await;
    until("the first relay has read the rows", async || {
        let asked =
            "SELECT query LIKE '%waiting%' AND state = 'idle' FROM pg_stat_activity WHERE pid = $1";
        let asked = sqlx::query_scalar(asked).bind(holder);
        asked.fetch_one(&setup.admin).await.unwrap()
    })
    .await;
    let second = setup.relay();
    second.until_status(RelayStatus::Standby).await;
    terminate(&setup, holder).await;
    second.until_status(RelayStatus::Active).await;
    until("the first relay notices", async || {
        first.status() != RelayStatus::Active
    })
    .await;

    setup.cluster.broker_up(1).unwrap();
    setup.until_empty().await;
    first.stop().await;
    second.stop().await;
    let mut received: Vec<i32> = setup
        .received()
        .await
        .iter()
        .map(|text| text.parse().unwrap())
        .collect();
    received.sort_unstable();
    assert_eq!(received, (1..=1_000).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_statement_without_an_answer_ends_the_connection() {
    let setup = Setup::new("frozen.statement").await;
    let relay = setup.relay();
    let frozen = Frozen::new(setup.lock_holder().await);
    until("the relay gives up", async || {
        matches!(relay.status(), RelayStatus::Retrying(reason) if reason.contains("did not answer"))
    })
    .await;
    setup.append("k", "after the freeze", true).await;
    // PostgreSQL ends the old session, and releases its lock, when it runs again.
    drop(frozen);
    setup.until_empty().await;
    relay.stop().await;
    assert_eq!(setup.received().await, ["after the freeze"]);
}

#[tokio::test]
async fn a_relay_ends_although_postgresql_is_frozen() {
    let setup = Setup::new("frozen.end").await;
    let relay = setup.relay();
    let _frozen = Frozen::new(setup.lock_holder().await);
    relay.stop().await;
}

#[tokio::test]
async fn a_relay_whose_process_is_killed_is_replaced() {
    let setup = Setup::new("killed").await;
    let child = Process::start(&setup).await;
    let relay = setup.relay();
    relay.until_status(RelayStatus::Standby).await;
    child.signal("-KILL");
    relay.until_status(RelayStatus::Active).await;
    setup.append("k", "after the kill", true).await;
    setup.until_empty().await;
    relay.stop().await;
    assert_eq!(setup.received().await, ["after the kill"]);
}

#[tokio::test]
async fn a_relay_whose_process_is_frozen_is_replaced_and_comes_back() {
    let setup = Setup::new("frozen.relay").await;
    let child = Process::start(&setup).await;
    let relay = setup.relay();
    relay.until_status(RelayStatus::Standby).await;
    child.signal("-STOP");
    setup.append("k", "while it is frozen", true).await;
    setup.until_empty().await;
    assert_eq!(relay.status(), RelayStatus::Active);

    child.signal("-CONT");
    relay.stop().await;
    child.until_it_relays(&setup).await;
    setup.append("k", "after it woke", true).await;
    setup.until_empty().await;
    let expected = ["while it is frozen", "after it woke"];
    assert_eq!(setup.received().await, expected);
}
