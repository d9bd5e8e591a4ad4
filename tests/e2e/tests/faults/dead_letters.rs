//! What can't be handled is kept, with its reason, and holds nobody up; and what could be handled after
//! all is handled as if nothing had happened.

use e2e::shop::Shop;
use messaging::Message;
use orderflow::dead_letters::order_of;
use rdkafka::{
    message::{Header, OwnedHeaders},
    producer::FutureRecord,
};

use crate::{
    database::Database,
    one_trace::{dead_lettered, placed_and},
    support::{breakable, expect_order, expect_tree},
    topic::{PARTITIONS, TOPIC, Topic},
};

/// In each partition, before an order's message.
#[tokio::test]
async fn poison_is_kept_at_once_and_holds_nobody_up() {
    let zeros = vec![0; 1024 * 1024];
    let poison: [(&str, Option<&[u8]>, &str); 5] = [
        (
            "not-json",
            Some(b"no order"),
            "syntax error at ., line 1, column 2",
        ),
        (
            "wrong-schema",
            Some(b"{}"),
            "wrong or missing value at ., line 1, column 2",
        ),
        ("empty", Some(b""), "unexpected end at ., line 1, column 0"),
        ("zeros", Some(&zeros), "syntax error at ., line 1, column 1"),
        ("null", None, "unexpected end at ., line 1, column 0"),
    ];
    let shop = breakable().await;
    let topic = Topic::at(shop.stack.brokers());
    for (number, (key, payload, _)) in poison.iter().enumerate() {
        for partition in 0..PARTITIONS {
            let traceparent = format!("00-{}-00f067aa0ba902b7-01", trace(number, partition));
            topic
                .send(FutureRecord {
                    partition: Some(partition),
                    key: Some(key.as_bytes()),
                    payload: *payload,
                    headers: Some(OwnedHeaders::new().insert(Header {
                        key: "traceparent",
                        value: Some(&traceparent),
                    })),
                    ..FutureRecord::to(TOPIC)
                })
                .await;
        }
    }
    let mut orders = Vec::new();
    for _ in 0..12 {
        orders.push(shop.customer().order(&[(1, "ITEM-001")]).await.unwrap().id);
    }
    topic.expect_waiting(0).await;
    Database::of(&shop)
        .expect_settled(&orders, "confirmed")
        .await;

    let letters = topic.dead_letters().await.unwrap();
    for (number, (key, payload, reason)) in poison.into_iter().enumerate() {
        let kept: Vec<_> = letters
            .iter()
            .filter(|letter| order_of(letter) == Some(key))
            .collect();
        assert_eq!(
            kept.len(),
            PARTITIONS as usize,
            "{key}: one from each partition"
        );
        for letter in kept {
            assert!(
                letter.message().payload() == payload,
                "{key}: another value"
            );
            assert_eq!(letter.attempts(), 1, "{key}");
            let reason = format!("the message is no order: {reason}");
            assert_eq!(letter.error_message().as_ref(), Some(&reason), "{key}");
            let (_, partition, _) = letter.original().unwrap();
            expect_poisoned_trace(&shop, &trace(number, partition), &reason).await;
        }
    }
}

/// The trace that a message was sent in, in which nothing else happened.
fn trace(number: usize, partition: i32) -> String {
    format!("{:032x}", 0x0bad_0000 + number * 0x100 + partition as usize)
}

async fn expect_poisoned_trace(shop: &Shop, trace: &str, reason: &str) {
    let tree = format!(
        "
        worker CONSUMER process order.created linked ERROR invalid_message {reason:?}
          worker PRODUCER send order.created.dlq
        "
    );
    expect_tree(shop, trace, &tree).await;
}

/// Email fails until the message is given up; later it works again. The order's trace then has it all:
/// five attempts, the dead letter, the replay below it, and the mail. A second replay does no harm.
#[tokio::test]
async fn a_replay_goes_on_in_the_orders_trace() {
    let mut shop = breakable().await;
    let topic = Topic::at(shop.stack.brokers());
    let fails = ("FAULT_ERROR_RATE".to_owned(), "1".into());
    assert!(shop.stack.service("email").stop().await);
    shop.stack
        .service("email")
        .start_again_with(&[fails])
        .await
        .unwrap();
    let placed = shop.customer().order(&[(1, "ITEM-001")]).await.unwrap();
    let letter = topic.dead_letter_of(&placed.id).await;
    assert_eq!(
        letter.error_message().as_deref(),
        Some("email answered 500")
    );
    assert_eq!(letter.attempts(), 5);
    shop.stack.service("email").restart().await.unwrap();

    let list = shop.orderflow(&["dlq", "list"]).await.unwrap();
    assert!(list.contains(&placed.id), "{list}");
    for _ in 0..2 {
        let replay = ["dlq", "replay", "--order", &placed.id];
        shop.orderflow(&replay).await.unwrap();
    }
    topic.expect_waiting(0).await;
    let order = [placed.id.clone()];
    Database::of(&shop)
        .expect_settled(&order, "confirmed")
        .await;
    let replays = "
            orderflow PRODUCER send order.created
              worker CONSUMER process order.created  retry 5 linked
                worker CLIENT POST http://inventory/stock/ITEM-001/reserve  200
                  inventory SERVER POST /stock/{item_id}/reserve  200
                    inventory CLIENT BEGIN
                    inventory CLIENT INSERT inventory.reservations
                    inventory CLIENT SELECT inventory.reservations
                    inventory CLIENT SELECT inventory.items
                worker CLIENT PATCH http://orders/orders/{id}/status  200
                  orders SERVER PATCH /orders/{id}/status  200
                    orders CLIENT UPDATE orders.orders
                    orders CLIENT SELECT orders.orders
                    orders CLIENT SELECT orders.order_items
                worker CLIENT POST http://email/send  202
                  email SERVER POST /send  202
                    email CLIENT INSERT email.mails
                    email CLIENT INSERT email.transport
                    email CLIENT UPDATE email.mails
            orderflow PRODUCER send order.created
              worker CONSUMER process order.created  retry 5 linked
                worker CLIENT POST http://inventory/stock/ITEM-001/reserve  200
                  inventory SERVER POST /stock/{item_id}/reserve  200
                    inventory CLIENT BEGIN
                    inventory CLIENT INSERT inventory.reservations
                    inventory CLIENT SELECT inventory.reservations
                    inventory CLIENT SELECT inventory.items
                worker CLIENT PATCH http://orders/orders/{id}/status  200
                  orders SERVER PATCH /orders/{id}/status  200
                    orders CLIENT UPDATE orders.orders
                    orders CLIENT SELECT orders.orders
                    orders CLIENT SELECT orders.order_items
                worker CLIENT POST http://email/send  202
                  email SERVER POST /send  202
                    email CLIENT INSERT email.mails
                    email CLIENT SELECT email.mails
    ";
    let processed = [&dead_lettered(), replays].join("\n");
    expect_order(&shop, &placed, &placed_and(&processed, &placed)).await;
    let letters = topic.dead_letters().await.unwrap();
    let of_order = letters
        .iter()
        .filter(|letter| order_of(letter) == Some(&placed.id));
    assert_eq!(of_order.count(), 1, "nothing was given up again");
}
