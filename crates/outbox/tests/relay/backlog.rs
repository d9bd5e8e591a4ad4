//! Many rows: what they cost, and that none is sent twice.

use crate::setup::{Setup, until};

#[tokio::test]
async fn other_keys_do_not_wait_for_a_key_with_many_rows() {
    let setup = Setup::new("hot.key").await;
    setup.append_many(10_000, "'hot'", "'hot'").await;
    setup.append_many(100, "number", "'other'").await;
    let relay = setup.relay();
    until("the other keys are sent", async || {
        setup.rows("key <> 'hot'").await == 0
    })
    .await;
    relay.stop().await;
    let received = setup.received().await;
    let last = received.iter().rposition(|text| text == "other").unwrap();
    let hot_before = received[..last]
        .iter()
        .filter(|text| *text == "hot")
        .count();
    // A handful: the rounds in which the 100 others were read and sent.
    assert!(hot_before < 50, "{hot_before}");
    assert!(setup.rows("true").await > 9_000);
}

/// Payloads of this size are stored outside of the row, in a table whose index shows how often one is read.
#[tokio::test]
async fn only_the_payloads_that_are_sent_are_read() {
    const ROWS: i32 = 200;
    let setup = Setup::new("payloads").await;
    let payload =
        "(SELECT string_agg(md5(number::text || part), '') FROM generate_series(1, 200) AS part)";
    setup.append_many(ROWS, "'hot'", payload).await;
    let before = payload_reads(&setup).await;
    let relay = setup.relay();
    setup.until_empty().await;
    let session = setup.lock_holder().await;
    relay.stop().await;
    until_counted(&setup, session).await;
    // One read to send a payload and one to delete it. To read each payload in each round would be 20,000.
    let reads = payload_reads(&setup).await - before;
    assert!(reads <= i64::from(3 * ROWS), "{reads}");
}

async fn payload_reads(setup: &Setup) -> i64 {
    let reads = "SELECT coalesce(idx_scan, 0) FROM pg_stat_all_tables JOIN pg_class ON relid = reltoastrelid
         WHERE pg_class.oid = 'orders.outbox'::regclass";
    let reads = sqlx::query_scalar(reads);
    reads.fetch_one(&setup.admin).await.unwrap()
}

/// A session reports what it has read when it ends, if not before.
async fn until_counted(setup: &Setup, session: i32) {
    until("the session has ended", async || {
        let sessions = sqlx::query_scalar("SELECT count(*) FROM pg_stat_activity WHERE pid = $1");
        let sessions: i64 = sessions
            .bind(session)
            .fetch_one(&setup.admin)
            .await
            .unwrap();
        sessions == 0
    })
    .await;
}

/// While a transaction is open that may see them, deleted rows stay in the table and its index.
#[tokio::test]
async fn rows_that_were_sent_are_not_read_again_during_a_long_transaction() {
    let setup = Setup::new("long.transaction").await;
    setup.append_many(100_000, "number", "number").await;
    let mut long = setup.admin.begin().await.unwrap();
    let isolation = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ";
    sqlx::query(isolation).execute(&mut *long).await.unwrap();
    let count = sqlx::query_scalar("SELECT count(*) FROM orders.outbox");
    let count: i64 = count.fetch_one(&mut *long).await.unwrap();
    assert_eq!(count, 100_000);

    let relay = setup.relay();
    setup.until_empty().await;
    let mut before = index_reads(&setup).await;
    until("a poll reads a few entries of the index", async || {
        let now = index_reads(&setup).await;
        let (scans, entries) = (now.0 - before.0, now.1 - before.1);
        before = now;
        // Up to 20 searches at once are those of polls, not of deletes. One that reads all is 100,000 entries.
        (1..20).contains(&scans) && entries < 1_000
    })
    .await;
    relay.stop().await;
    long.rollback().await.unwrap();
}

/// How often the primary key was searched, and how many entries that has read.
async fn index_reads(setup: &Setup) -> (i64, i64) {
    let reads =
        "SELECT idx_scan, idx_tup_read FROM pg_stat_all_indexes WHERE indexrelname = 'outbox_pkey'";
    let reads = sqlx::query_as(reads);
    reads.fetch_one(&setup.admin).await.unwrap()
}

#[tokio::test]
async fn an_orderly_end_during_a_backlog_sends_nothing_twice() {
    let setup = Setup::new("orderly.end").await;
    setup.append_many(5_000, "number", "number").await;
    let first = setup.relay();
    until("some are sent", async || setup.rows("true").await < 5_000).await;
    first.stop().await;
    assert!(
        setup.rows("true").await > 0,
        "the relay was done before it was asked to end"
    );
    let second = setup.relay();
    setup.until_empty().await;
    second.stop().await;
    let mut received: Vec<i32> = setup
        .received()
        .await
        .iter()
        .map(|text| text.parse().unwrap())
        .collect();
    received.sort_unstable();
    assert_eq!(received, (1..=5_000).collect::<Vec<_>>());
}
