//! What holds the trace together, and what must not depend on it.

use std::{
    collections::HashSet,
    io,
    sync::{Arc, Mutex},
};

use delivery::{Consumer, topics};
use e2e::{
    receiver::Traces,
    shop::{Placed, Shop},
    tree::{Forest, line},
};
use futures_util::future::join_all;
use messaging::{FutureRecord, Instrumentation, Message, OwnedMessage};
use rdkafka::ClientConfig;
use serde_json::Value;
use tokio::{net::TcpListener, sync::mpsc};
use tokio_util::sync::CancellationToken;

use crate::{
    database::Database,
    support::{LIMIT, difference, eventually, own, shared},
};

/// Without propagation each process starts a trace of its own for whatever comes in. The same spans as
/// ever, and nobody can tell that they belong together: this is what `messaging` is there for.
#[tokio::test]
async fn without_propagation_the_trace_falls_apart() {
    let shop = own("apart", |opening| {
        opening.with(|stack| stack.env_everywhere("OTEL_PROPAGATORS", "none"))
    })
    .await;
    let placed = shop.customer().order(&[(1, "ITEM-001")]).await.unwrap();
    let expected = "
        gateway SERVER POST /orders  201
          gateway CLIENT POST http://orders/orders  201

        orders SERVER POST /orders  201
          orders CLIENT BEGIN
          orders CLIENT INSERT orders.orders
          orders CLIENT INSERT orders.order_items
          orders CLIENT INSERT orders.outbox
          orders CLIENT COMMIT

        orders PRODUCER send order.created

        worker CONSUMER process order.created
          worker CLIENT POST http://inventory/stock/ITEM-001/reserve  200
          worker CLIENT PATCH http://orders/orders/{id}/status  200
          worker CLIENT POST http://email/send  202

        inventory SERVER POST /stock/{item_id}/reserve  200
          inventory CLIENT BEGIN
          inventory CLIENT INSERT inventory.reservations
          inventory CLIENT UPDATE inventory.items
          inventory CLIENT COMMIT

        orders SERVER PATCH /orders/{id}/status  200
          orders CLIENT UPDATE orders.orders
          orders CLIENT SELECT orders.order_items

        email SERVER POST /send  202
          email CLIENT INSERT email.mails
          email CLIENT INSERT email.transport
          email CLIENT UPDATE email.mails
    ";
    let expected = Forest::parse(&expected.replace(
        "orders/{id}/status  200\n          worker",
        &format!("orders/{}/status  200\n          worker", placed.id),
    ));
    let mut found = expected.clone();
    let all_traces = shop.receiver.wait_for(LIMIT, |traces| {
        found = everything(traces, &shop);
        (found == expected).then_some(traces.len())
    });
    let Some(traces) = all_traces.await else {
        panic!("order {}\n{}", placed.id, difference(&expected, &found));
    };
    assert_eq!(traces, 7, "each of these trees is a trace of its own");
}

/// All that this shop has ever exported: nothing but orders leaves traces, no health check and no
/// poll.
fn everything(traces: &Traces, shop: &Shop) -> Forest {
    let spans: Vec<_> = traces.values().flatten().cloned().collect();
    Forest::of(&spans, |span| line(span, shop.places()))
}

/// A collector that takes connections and never says a word disturbs nobody, and what never got there
/// is told in one line.
#[tokio::test]
async fn a_collector_that_swallows_everything_disturbs_nobody() {
    const ORDERS: usize = 200;
    let black_hole = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", black_hole.local_addr().unwrap());
    tokio::spawn(async move {
        let mut connections = Vec::new();
        while let Ok(connection) = black_hole.accept().await {
            connections.push(connection);
        }
    });
    let mut shop = own("black-hole", |opening| {
        opening.with(|stack| stack.env_everywhere("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", address))
    })
    .await;

    let customer = shop.customer();
    let mut orders = Vec::new();
    while orders.len() < ORDERS {
        let some = (0..20).map(|_| customer.order(&[(1, "ITEM-001")]));
        orders.extend(
            join_all(some)
                .await
                .into_iter()
                .map(|placed| placed.unwrap().id),
        );
    }
    let database = Database::of(&shop);
    database.expect_settled(&orders, "confirmed").await;

    for service in ["gateway", "worker", "orders", "inventory", "email"] {
        let service = shop.stack.service(service);
        assert!(service.stop().await, "{} ended in time", service.name());
        let log = service.process().log_tail(usize::MAX);
        let lines = log
            .lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let lost: Vec<_> = lines
            .filter(|line| line["message"] == "spans were lost: they never reached the collector")
            .collect();
        assert_eq!(lost.len(), 1, "{}: {log}", service.name());
        assert_eq!(lost[0]["fields"]["lost"], lost[0]["fields"]["recorded"]);
        assert!(lost[0]["fields"]["lost"].as_u64() >= Some(ORDERS as u64));
    }
    assert_eq!(shop.receiver.all(), []);
}

/// The worker is up before there is a topic to consume. It gets what is sent once there is one, from
/// the first message on.
#[tokio::test]
async fn a_consumer_that_starts_before_its_topic_gets_its_messages() {
    const TOPIC: &str = "late.topic";
    let brokers = shared().await.stack.brokers();
    let log = Log::default();
    let kept = log.clone();
    tracing_subscriber::fmt()
        .with_env_filter("delivery=debug")
        .with_writer(move || kept.clone())
        .init();
    let (tell, mut handled) = mpsc::unbounded_channel();
    let end = CancellationToken::new();
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", &brokers)
        .set("group.id", "early-bird");
    let consumer = Consumer::builder(&config, TOPIC).build().unwrap();
    let handler = move |message: OwnedMessage| {
        let payload = message.payload().unwrap_or_default().to_vec();
        tell.send(payload).expect("the test receives");
        async { Ok(()) }
    };
    let running = tokio::spawn(consumer.run(handler, end.clone()));
    // The broker was asked, and has no such topic.
    let missed = eventually(async || match log.text() {
        text if text.contains("the topic is not there yet") => Ok(()),
        text => Err(text),
    });
    missed.await.unwrap();

    topics::create(&config, &[topics::Topic::new(TOPIC, 3)])
        .await
        .unwrap();
    let producer = delivery::producer(&config, &Instrumentation::new(&config)).unwrap();
    let mut sent = HashSet::new();
    for key in ["a", "b", "c", "d", "e", "f"] {
        producer
            .send(FutureRecord::to(TOPIC).key(key).payload(key), LIMIT)
            .await
            .unwrap();
        sent.insert(key.as_bytes().to_vec());
    }
    while !sent.is_empty() {
        let next = tokio::time::timeout(LIMIT, handled.recv()).await;
        let payload = next.unwrap_or_else(|_| panic!("{sent:?} did not come"));
        assert!(sent.remove(&payload.unwrap()), "each comes once");
    }
    end.cancel();
    running.await.unwrap().unwrap();
}

/// Log lines, kept.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn text(&self) -> String {
        let bytes = self.0.lock().expect("no writer panics");
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut kept = self.0.lock().expect("no writer panics");
        kept.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The same with the real worker: it is up, its topic is gone, orders comes later.
#[tokio::test]
async fn a_worker_that_starts_first_handles_all_orders() {
    let mut shop = own("worker-first", |opening| opening).await;
    shop.stack.service("orders").stop().await;
    shop.stack.service("worker").stop().await;
    delete_topics(
        &shop.stack.brokers(),
        &["order.created", "order.created.dlq"],
    )
    .await;

    shop.stack.service("worker").start_again().await.unwrap();
    shop.stack.service("orders").start_again().await.unwrap();
    let mut orders = Vec::new();
    for _ in 0..12 {
        let Placed { id, .. } = shop.customer().order(&[(1, "ITEM-001")]).await.unwrap();
        orders.push(id);
    }
    Database::of(&shop)
        .expect_settled(&orders, "confirmed")
        .await;
}

async fn delete_topics(brokers: &str, topics: &[&str]) {
    use rdkafka::admin::{AdminClient, AdminOptions};
    let admin: AdminClient<_> = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .create()
        .expect("a client");
    let options = AdminOptions::new().operation_timeout(Some(LIMIT));
    let deleted = admin.delete_topics(topics, &options).await;
    for topic in deleted.expect("an answer") {
        topic.expect("a topic that is gone");
    }
}
