//! Kafka is down when an order is placed: 201 all the same, and the event goes out when Kafka is back,
//! in the order's own trace.

use std::time::Instant;

use e2e::{
    shop::{Placed, Shop},
    trace::{Span, Value},
};

use crate::{
    database::Database,
    one_trace::confirmed,
    support::{LIMIT, breakable, eventually, expect_order},
};

#[tokio::test]
async fn an_order_is_taken_without_a_broker_and_its_event_waits() {
    let mut shop = breakable().await;
    shop.stack.kafka().kill();
    let mut orders = Vec::new();
    for _ in 0..10 {
        orders.push(shop.customer().order(&[(1, "ITEM-001")]).await.unwrap());
    }
    let answered = Instant::now();
    expect_in_outbox(&shop, 10).await;
    let down = answered.elapsed();
    shop.stack.kafka().start_again().await.unwrap();

    for placed in &orders {
        expect_order(&shop, placed, &confirmed("ITEM-001", placed)).await;
        let send = send_span(&shop, placed);
        let took = (send.end - send.start) as f64 / 1e9;
        // It waits as a row at first, and then in the hands of the producer.
        assert!(waited(&send) + took >= down.as_secs_f64(), "{send:?}");
    }
    let ids: Vec<_> = orders.into_iter().map(|placed| placed.id).collect();
    Database::of(&shop).expect_settled(&ids, "confirmed").await;
}

/// The event is a row, and so outlives whoever wrote it. Its span is a child of the request's all the
/// same, though another process makes it.
#[tokio::test]
async fn an_event_outlives_the_process_that_wrote_it() {
    let mut shop = breakable().await;
    shop.stack.kafka().kill();
    let placed = shop.customer().order(&[(1, "ITEM-001")]).await.unwrap();
    let answered = Instant::now();
    let writer = arrived(&shop, &placed, "orders", "POST /orders").await;
    shop.stack.service("orders").kill();
    expect_in_outbox(&shop, 1).await;

    let down = answered.elapsed();
    shop.stack.kafka().start_again().await.unwrap();
    shop.stack.service("orders").start_again().await.unwrap();
    expect_order(&shop, &placed, &confirmed("ITEM-001", &placed)).await;
    let send = send_span(&shop, &placed);
    assert!(waited(&send) >= down.as_secs_f64(), "{send:?}");
    assert_ne!(
        instance(&send),
        instance(&writer),
        "another process sent it"
    );
    Database::of(&shop)
        .expect_settled(&[placed.id], "confirmed")
        .await;
}

async fn expect_in_outbox(shop: &Shop, wanted: i64) {
    let database = Database::of(shop);
    let waiting = eventually(async || {
        let count = database.count("SELECT count(*) FROM orders.outbox").await?;
        (count == wanted)
            .then_some(())
            .ok_or(format!("{count} events are in the outbox"))
    });
    waiting.await.unwrap_or_else(|wrong| panic!("{wrong}"));
}

fn send_span(shop: &Shop, placed: &Placed) -> Span {
    let spans = shop.receiver.spans_of(&placed.trace).into_iter();
    let mut sends = spans.filter(|span| span.name == "send order.created");
    sends.next().expect("a span of the sending")
}

/// A span of the order's trace, once it is there.
async fn arrived(shop: &Shop, placed: &Placed, service: &str, name: &str) -> Span {
    let found = shop.receiver.wait_for(LIMIT, |traces| {
        let mut spans = traces.get(&placed.trace)?.iter();
        spans
            .find(|span| (span.service.as_str(), span.name.as_str()) == (service, name))
            .cloned()
    });
    found.await.expect("a span")
}

fn waited(send: &Span) -> f64 {
    match send.attribute("orderflow.outbox.wait_time") {
        Some(Value::Double(seconds)) => *seconds,
        other => panic!("{other:?} is no time"),
    }
}

/// Which process made the span.
fn instance(span: &Span) -> &Value {
    let mut resource = span.resource.iter();
    let instance = resource.find(|(name, _)| name == "service.instance.id");
    &instance.expect("an instance").1
}
