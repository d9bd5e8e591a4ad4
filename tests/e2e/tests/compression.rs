//! Orders are handled whatever codec their topic has.
//!
//! An administrator can set the codec of a topic at any time, and the broker then compresses what the producer did not.
//! A consumer that was built without a codec gets the same error for the same batch again and again: its partition
//! stands still.

use std::{fs, path::Path};

use e2e::shop::Shop;

use crate::{
    database::Database,
    support::{breakable, eventually},
    topic::{PARTITIONS, TOPIC, Topic},
};

/// The codecs of Kafka's protocol, and their numbers in the attributes of a record batch.
const CODECS: [(&str, u8); 4] = [("gzip", 1), ("snappy", 2), ("lz4", 3), ("zstd", 4)];

#[tokio::test]
async fn orders_are_handled_with_every_codec() {
    let shop = breakable().await;
    let (customer, database) = (shop.customer(), Database::of(&shop));
    let topic = Topic::at(shop.stack.brokers());
    let mut orders = Vec::new();
    for (name, codec) in CODECS {
        // Only a test that fails shows its output: with which codec.
        println!("with {name}");
        let before = stored_with(codec, &shop);
        topic.compress(name).await;
        // The broker answers before the partitions have the new codec.
        let compressed = eventually(async || {
            let order = customer.order(&[(1, "ITEM-001")]).await;
            orders.push(order.map_err(|error| format!("{error:#}"))?.id);
            database.expect_settled(&orders, "confirmed").await;
            let is_stored = stored_with(codec, &shop) > before;
            is_stored.then_some(()).ok_or(format!("no {name} batch"))
        });
        compressed.await.unwrap_or_else(|wrong| panic!("{wrong}"));
    }
    topic.compress("producer").await;
    topic.expect_waiting(0).await;
}

/// How many batches of the topic are stored with this codec.
fn stored_with(codec: u8, shop: &Shop) -> usize {
    let count_of = |partition| {
        let data = shop.directory.join("kafka/data");
        let log = data.join(format!("{TOPIC}-{partition}"));
        let codecs = codecs(&log.join("00000000000000000000.log"));
        codecs.into_iter().filter(|found| *found == codec).count()
    };
    (0..PARTITIONS).map(count_of).sum()
}

/// The codecs of the batches in a segment of a partition's log. The broker's answers do not tell them, and librdkafka
/// decompresses without saying so.
fn codecs(segment: &Path) -> Vec<u8> {
    /// Base offset (8 bytes) and length of the rest (4 bytes).
    const HEAD: usize = 12;
    /// Where the attributes' lower byte is: after the head come the leader epoch (4), magic (1) and checksum (4).
    const ATTRIBUTES: usize = HEAD + 10;
    const CODEC: u8 = 0b111;
    let bytes = fs::read(segment).expect("a segment");
    let mut batches = &bytes[..];
    let mut codecs = Vec::new();
    while let Some(attributes) = batches.get(ATTRIBUTES) {
        codecs.push(attributes & CODEC);
        let length = batches[8..HEAD].try_into().expect("four bytes");
        let length = HEAD + u32::from_be_bytes(length) as usize;
        batches = batches.get(length..).unwrap_or_default();
    }
    codecs
}
