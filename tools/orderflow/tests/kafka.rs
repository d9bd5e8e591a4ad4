//! A broker, from its first start over a crash to its end.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on ends")]

use std::{env, time::Duration};

use orderflow::{
    artifacts::Artifacts,
    kafka::{Kafka, Options},
};
use rdkafka::{
    ClientConfig, Message,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    consumer::{Consumer, StreamConsumer},
    producer::{FutureProducer, FutureRecord},
};
use uuid::Uuid;

#[tokio::test]
async fn what_was_sent_is_there_after_a_crash() {
    // A space and a letter that is not ASCII: neither may matter.
    let directory = env::temp_dir().join(format!("orderflow käfka {}", Uuid::new_v4()));
    let artifacts = Artifacts::fetch().unwrap();
    let options = Options {
        directory: directory.clone(),
        port: None,
    };
    let mut kafka = Kafka::start(&artifacts, options).await.unwrap();
    send(&kafka.brokers()).await;

    kafka.kill();
    kafka.start_again().await.unwrap();
    assert_eq!(receive(&kafka.brokers()).await, b"still here");

    assert!(kafka.stop().await, "it ends when it is asked to");
    std::fs::remove_dir_all(directory).unwrap();
}

async fn send(brokers: &str) {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", brokers);
    let admin: AdminClient<DefaultClientContext> = config.create().unwrap();
    let topic = NewTopic::new("kept", 1, TopicReplication::Fixed(-1));
    let made = admin.create_topics([&topic], &AdminOptions::new()).await;
    assert_eq!(made.unwrap(), [Ok("kept".to_owned())]);
    let producer: FutureProducer = config.create().unwrap();
    let record = FutureRecord::<(), _>::to("kept").payload("still here");
    producer.send(record, Duration::ZERO).await.unwrap();
}

async fn receive(brokers: &str) -> Vec<u8> {
    let consumer: StreamConsumer = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("group.id", "test")
        .set("auto.offset.reset", "earliest")
        .create()
        .unwrap();
    consumer.subscribe(&["kept"]).unwrap();
    let message = consumer.recv().await.unwrap();
    message.payload().unwrap().to_vec()
}
