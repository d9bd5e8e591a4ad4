//! What is asked for or delivered again has no second effect.

use e2e::shop::{Answer, Customer, Placed, order_of};
use futures_util::future::join_all;
use reqwest::Method;

use crate::{
    database::Database,
    one_trace::{confirmed, handled, placed_and},
    support::{breakable, expect_order, expect_tree, shared},
    topic::Topic,
};

/// Its customer did not get the answer and asks again: with the same key it is the same order.
#[tokio::test]
async fn the_same_key_is_the_same_order() {
    let shop = shared().await;
    let customer = shop.customer();
    let first = post(&customer, "same-key", &[(1, "ITEM-001")]).await;
    assert_eq!(first.status, 201);
    let again = post(&customer, "same-key", &[(1, "ITEM-001")]).await;
    assert_eq!((again.status, &again.body["id"]), (201, &first.body["id"]));
    assert_eq!(again.headers["idempotent-replayed"], "true");
    let other = post(&customer, "same-key", &[(2, "ITEM-001")]).await;
    assert_eq!(other.status, 422, "{:?}", other.body);
    let first = placed(first);
    expect_order(shop, &first, &confirmed_with_key("ITEM-001", &first)).await;
}

/// It asks ten times at once. One of them places the order, the others wait for its answer.
#[tokio::test]
async fn the_same_key_at_once_is_one_order() {
    let shop = shared().await;
    let customer = shop.customer();
    let items = [(1, "ITEM-002")];
    let answers = join_all((0..10).map(|_| post(&customer, "ten-at-once", &items))).await;
    for answer in &answers {
        let first = &answers[0].body["id"];
        assert_eq!((answer.status, &answer.body["id"]), (201, first));
    }
    let is_first = |answer: &Answer| !answer.headers.contains_key("idempotent-replayed");
    let mut first: Vec<_> = answers.into_iter().filter(is_first).collect();
    assert_eq!(first.len(), 1, "one of them has placed it");
    let first = placed(first.remove(0));
    expect_order(shop, &first, &confirmed_with_key("ITEM-002", &first)).await;
}

/// The relay died between the broker's acknowledgement and its own note of it, or the worker before its
/// offset was committed: the message comes again, and again.
#[tokio::test]
async fn a_message_that_comes_again_changes_nothing() {
    let shop = breakable().await;
    let (customer, database) = (shop.customer(), Database::of(&shop));
    let good = customer.order(&[(1, "ITEM-001")]).await.unwrap();
    let unknown = [(1, "ITEM-002"), (1, "ITEM-404")];
    let bad = customer.order(&unknown).await.unwrap();
    for (order, status) in [(&good, "confirmed"), (&bad, "cancelled")] {
        let order = [order.id.clone()];
        database.expect_settled(&order, status).await;
    }
    let before = database.everything().await;

    let topic = Topic::at(shop.stack.brokers());
    for order in [&good, &bad] {
        let message = topic.message_of(&order.id).await;
        for _ in 0..2 {
            topic.send_again(&message).await;
        }
    }
    topic.expect_waiting(0).await;
    assert_eq!(database.everything().await, before);
    let again = "
        worker CONSUMER process order.created  linked
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
    let processed = [&handled("ITEM-001"), again, again].join("\n");
    let tree = placed_and(&processed, &good);
    expect_tree(&shop, &good.trace, &tree).await;
}

async fn post(customer: &Customer, key: &str, items: &[(i64, &str)]) -> Answer {
    let request = customer.request(Method::POST, "/orders");
    let request = request.header("idempotency-key", key);
    let answer = customer.send(request.json(&order_of(items))).await;
    answer.expect("an answer")
}

fn placed(answer: Answer) -> Placed {
    Placed {
        id: answer.body["id"].as_str().unwrap_or_default().to_owned(),
        trace: answer.trace.clone(),
        answer,
    }
}

/// The whole trace of an order whose key is written in the same transaction.
fn confirmed_with_key(item: &str, placed: &Placed) -> String {
    const BEGIN: &str = "
      orders CLIENT BEGIN";
    const WITH_KEY: &str = "
      orders CLIENT BEGIN
      orders CLIENT SELECT set_config
      orders CLIENT INSERT orders.idempotency_keys
      orders CLIENT SELECT set_config";
    confirmed(item, placed).replacen(BEGIN, WITH_KEY, 1)
}
