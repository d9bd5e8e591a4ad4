//! A consumer whose future is dropped leaves its group at once.

use std::time::Duration;

use delivery::{
    Consumer,
    topics::{self, Topic},
};
use messaging::{FutureRecord, Instrumentation, OwnedMessage};
use rdkafka::ClientConfig;
use tokio::{
    sync::mpsc::{UnboundedReceiver, unbounded_channel},
    task::JoinHandle,
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use crate::support::{LIMIT, shared};

const NAME: &str = "leaving";
const PARTITIONS: i32 = 2;
/// Far longer than the test may take: only a member that has left explains that another one gets its partitions.
const SESSION: Duration = Duration::from_secs(300);

/// Starts a member, which shows the partitions of the messages that it handles.
fn join(config: &ClientConfig) -> (UnboundedReceiver<i32>, JoinHandle<()>) {
    let (shows, shown) = unbounded_channel();
    let handler = move |message: OwnedMessage| {
        let shows = shows.clone();
        async move {
            use messaging::Message;
            // The test may have ended.
            let _ = shows.send(message.partition());
            std::future::pending().await
        }
    };
    let consumer = Consumer::builder(config, NAME).build().expect("a consumer");
    let run = async move {
        let run = consumer.run(handler, CancellationToken::new()).await;
        run.expect("a consumer that goes on");
    };
    (shown, tokio::spawn(run))
}

#[tokio::test]
async fn a_consumer_whose_future_is_dropped_leaves_its_group() {
    let shop = shared().await;
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", shop.stack.brokers())
        .set("group.id", NAME)
        .set("session.timeout.ms", SESSION.as_millis().to_string());
    let topic = Topic::new(NAME, PARTITIONS);
    topics::create(&config, &[topic]).await.expect("a topic");
    let mut sender = ClientConfig::new();
    sender.set("bootstrap.servers", shop.stack.brokers());
    let producer = delivery::producer(&sender, &Instrumentation::new(&sender)).expect("a producer");
    for partition in 0..PARTITIONS {
        let record = FutureRecord::to(NAME).key("k").payload("v");
        let sent = producer.send(record.partition(partition), LIMIT).await;
        sent.expect("a broker that takes it");
    }

    for member in ["first", "second"] {
        let (mut shown, running) = join(&config);
        let handled = timeout(LIMIT, async {
            let mut both = [shown.recv().await, shown.recv().await];
            both.sort_unstable();
            both
        });
        let handled = handled.await;
        let handled = handled.unwrap_or_else(|_| panic!("the {member} member timed out"));
        assert_eq!(handled, [Some(0), Some(1)], "{member}");
        running.abort();
        assert!(running.await.is_err_and(|error| error.is_cancelled()));
    }
}
