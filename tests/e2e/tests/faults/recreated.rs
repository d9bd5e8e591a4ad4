//! The topic of the orders is deleted and created again, as after a restore or a mistake: its offsets begin again.

use std::time::Duration;

use e2e::shop::Shop;
use rdkafka::{
    ClientConfig, TopicPartitionList,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    consumer::{BaseConsumer, Consumer},
    topic_partition_list::TopicPartitionListElem,
    types::RDKafkaErrorCode,
};

use crate::{
    database::Database,
    support::{breakable, eventually},
    topic::{PARTITIONS, TOPIC},
};

const TIMEOUT: Duration = Duration::from_secs(10);
/// How many messages each partition has at least before it is deleted. The new log must not outgrow the position in the
/// old one before the worker has looked: that cannot be noticed.
const BEFORE: i64 = 3;
const AFTER: usize = 8;

#[tokio::test]
#[ignore = "takes 40 s; run weekly"]
async fn all_orders_in_a_recreated_topic_are_confirmed() {
    let shop = breakable().await;
    fill_all_partitions(&shop).await;
    delete_topic(&shop).await;
    create_topic(&shop).await;
    expect_confirmed_one_by_one(&shop).await;
}

#[tokio::test]
#[ignore = "takes 40 s; run weekly"]
async fn a_topic_that_was_deleted_is_created_again_and_its_orders_are_confirmed() {
    let shop = breakable().await;
    fill_all_partitions(&shop).await;
    delete_topic(&shop).await;
    expect_confirmed_one_by_one(&shop).await;
}

async fn fill_all_partitions(shop: &Shop) {
    let customer = shop.customer();
    let mut orders = Vec::new();
    while ends(shop).into_iter().any(|end| end < BEFORE) {
        orders.push(
            customer
                .order(&[(1, "ITEM-001")])
                .await
                .expect("an order")
                .id,
        );
        Database::of(shop)
            .expect_settled(&orders, "confirmed")
            .await;
    }
}

/// Each is confirmed before the next is placed, so the worker looks before a partition has many messages.
async fn expect_confirmed_one_by_one(shop: &Shop) {
    let customer = shop.customer();
    for _ in 0..AFTER {
        let order = customer
            .order(&[(1, "ITEM-001")])
            .await
            .expect("an order")
            .id;
        let database = Database::of(shop);
        database.expect_settled(&[order], "confirmed").await;
    }
    let messages: i64 = ends(shop).into_iter().sum();
    assert_eq!(messages, AFTER as i64, "the topic began again");
    let committed = eventually(async || {
        let (committed, ends) = (committed(shop), ends(shop));
        // A partition without new messages may keep the offset of its earlier life.
        let mut wrong = committed.iter().zip(&ends);
        let wrong = wrong.find(|(committed, end)| **end > 0 && committed != end);
        wrong.map_or(Ok(()), |_| Err(format!("{committed:?} of {ends:?}")))
    });
    committed.await.unwrap_or_else(|wrong| panic!("{wrong}"));
}

/// The offsets that the worker has committed; a negative number where there is none.
fn committed(shop: &Shop) -> Vec<i64> {
    let mut client = client(shop);
    let group: BaseConsumer = client.set("group.id", "worker").create().expect("a client");
    let mut topic = TopicPartitionList::new();
    topic.add_partition_range(TOPIC, 0, PARTITIONS - 1);
    let committed = group.committed_offsets(topic, TIMEOUT).expect("an answer");
    let offset = |one: &TopicPartitionListElem<'_>| one.offset().to_raw().unwrap_or(-1);
    committed.elements().iter().map(offset).collect()
}

/// The next offset of each partition.
fn ends(shop: &Shop) -> Vec<i64> {
    let consumer: BaseConsumer = client(shop).create().expect("a client");
    let end = |partition| {
        let watermarks = consumer.fetch_watermarks(TOPIC, partition, TIMEOUT);
        watermarks.expect("an answer").1
    };
    (0..PARTITIONS).map(end).collect()
}

fn client(shop: &Shop) -> ClientConfig {
    let mut client = ClientConfig::new();
    client
        .set("bootstrap.servers", shop.stack.brokers())
        .set("group.id", "e2e");
    client
}

async fn delete_topic(shop: &Shop) {
    let admin: AdminClient<DefaultClientContext> = client(shop).create().expect("a client");
    let deleted = admin.delete_topics(&[TOPIC], &AdminOptions::new()).await;
    deleted
        .expect("an answer")
        .remove(0)
        .expect("a deleted topic");
}

/// The worker may have created it before.
async fn create_topic(shop: &Shop) {
    let admin: AdminClient<DefaultClientContext> = client(shop).create().expect("a client");
    let topic = NewTopic::new(TOPIC, PARTITIONS, TopicReplication::Fixed(1));
    let created = eventually(async || {
        let created = admin.create_topics([&topic], &AdminOptions::new()).await;
        match created.map_err(|error| error.to_string())?.remove(0) {
            Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => Ok(()),
            Err((_, code)) => Err(code.to_string()),
        }
    });
    created.await.unwrap_or_else(|wrong| panic!("{wrong}"));
}
