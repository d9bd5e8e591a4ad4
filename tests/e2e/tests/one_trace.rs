//! What the trace of an order looks like, to the last span.
//!
//! Each test places an order and writes down the whole trace that must come of it: a line a span, a
//! child below its parent. `linked` says that a span is not only a child of its parent, but linked to
//! it, too: a message came between them. How to read a line is said in `src/tree.rs`; which
//! attributes each kind of span has besides, and of which type, in `src/attributes.rs`.
//!
//! The order's id is an attribute of every span but two: when the gateway calls orders, and when orders
//! begins its transaction, there is none yet.

use e2e::shop::{Placed, Shop};
use reqwest::Method;

use crate::support::{Expected, LIMIT, expect, expect_order, own, shared};

/// Two items, one of them named twice: that one is reserved once, the sum of both.
#[tokio::test]
async fn a_confirmed_order() {
    let shop = shared().await;
    let items = [(2, "ITEM-001"), (1, "ITEM-002"), (3, "ITEM-001")];
    let placed = shop.customer().order(&items).await.unwrap();
    let trace = "
        gateway SERVER POST /orders  201
          gateway CLIENT POST http://orders/orders  201
            orders SERVER POST /orders  201
              orders CLIENT BEGIN
              orders CLIENT INSERT orders.orders
              orders CLIENT INSERT orders.order_items
              orders CLIENT INSERT orders.outbox
              orders CLIENT COMMIT
              orders PRODUCER send order.created
                worker CONSUMER process order.created  linked
                  worker CLIENT POST http://inventory/stock/ITEM-001/reserve  200
                    inventory SERVER POST /stock/{item_id}/reserve  200
                      inventory CLIENT BEGIN
                      inventory CLIENT INSERT inventory.reservations
                      inventory CLIENT UPDATE inventory.items
                      inventory CLIENT COMMIT
                  worker CLIENT POST http://inventory/stock/ITEM-002/reserve  200
                    inventory SERVER POST /stock/{item_id}/reserve  200
                      inventory CLIENT BEGIN
                      inventory CLIENT INSERT inventory.reservations
                      inventory CLIENT UPDATE inventory.items
                      inventory CLIENT COMMIT
                  worker CLIENT PATCH http://orders/orders/{id}/status  200
                    orders SERVER PATCH /orders/{id}/status  200
                      orders CLIENT UPDATE orders.orders
                      orders CLIENT SELECT orders.order_items
                  worker CLIENT POST http://email/send  202
                    email SERVER POST /send  202
                      email CLIENT INSERT email.mails
                      email CLIENT INSERT email.transport
                      email CLIENT UPDATE email.mails
    ";
    expect_and_nothing_more(shop, &placed, &for_order(trace, &placed)).await;
}

/// One item is there, the other is not known: the order is cancelled, and then what was reserved is
/// released. A 404 is an outcome here: an error to the one who asked, not to `process`.
#[tokio::test]
async fn an_order_with_an_unknown_item() {
    let shop = shared().await;
    let items = [(1, "ITEM-001"), (1, "ITEM-404")];
    let placed = shop.customer().order(&items).await.unwrap();
    let processed = "
        worker CONSUMER process order.created  linked
          worker CLIENT POST http://inventory/stock/ITEM-001/reserve  200
            inventory SERVER POST /stock/{item_id}/reserve  200
              inventory CLIENT BEGIN
              inventory CLIENT INSERT inventory.reservations
              inventory CLIENT UPDATE inventory.items
              inventory CLIENT COMMIT
          worker CLIENT POST http://inventory/stock/ITEM-404/reserve  404 ERROR 404
            inventory SERVER POST /stock/{item_id}/reserve  404
              inventory CLIENT BEGIN
              inventory CLIENT INSERT inventory.reservations
              inventory CLIENT UPDATE inventory.items
              inventory CLIENT UPDATE inventory.reservations
          worker CLIENT PATCH http://orders/orders/{id}/status  200
            orders SERVER PATCH /orders/{id}/status  200
              orders CLIENT UPDATE orders.orders
              orders CLIENT SELECT orders.order_items
          worker CLIENT POST http://inventory/stock/ITEM-001/release  200
            inventory SERVER POST /stock/{item_id}/release  200
              inventory CLIENT BEGIN
              inventory CLIENT INSERT inventory.reservations
              inventory CLIENT UPDATE inventory.items
              inventory CLIENT COMMIT
          worker CLIENT POST http://inventory/stock/ITEM-404/release  200
            inventory SERVER POST /stock/{item_id}/release  200
              inventory CLIENT BEGIN
              inventory CLIENT INSERT inventory.reservations
              inventory CLIENT SELECT inventory.items
              inventory CLIENT COMMIT
          worker CLIENT POST http://email/send  202
            email SERVER POST /send  202
              email CLIENT INSERT email.mails
              email CLIENT INSERT email.transport
              email CLIENT UPDATE email.mails
    ";
    expect_and_nothing_more(shop, &placed, &placed_and(processed, &placed)).await;
}

/// More than there ever was of an item. Nothing is given back, since nothing was taken.
#[tokio::test]
async fn a_sold_out_order() {
    let shop = shared().await;
    let placed = shop.customer().order(&[(26, "ITEM-010")]).await.unwrap();
    let processed = "
        worker CONSUMER process order.created  linked
          worker CLIENT POST http://inventory/stock/ITEM-010/reserve  409 ERROR 409
            inventory SERVER POST /stock/{item_id}/reserve  409
              inventory CLIENT BEGIN
              inventory CLIENT INSERT inventory.reservations
              inventory CLIENT UPDATE inventory.items
              inventory CLIENT UPDATE inventory.reservations
              inventory CLIENT COMMIT
          worker CLIENT PATCH http://orders/orders/{id}/status  200
            orders SERVER PATCH /orders/{id}/status  200
              orders CLIENT UPDATE orders.orders
              orders CLIENT SELECT orders.order_items
          worker CLIENT POST http://inventory/stock/ITEM-010/release  200
            inventory SERVER POST /stock/{item_id}/release  200
              inventory CLIENT BEGIN
              inventory CLIENT INSERT inventory.reservations
              inventory CLIENT SELECT inventory.items
              inventory CLIENT COMMIT
          worker CLIENT POST http://email/send  202
            email SERVER POST /send  202
              email CLIENT INSERT email.mails
              email CLIENT INSERT email.transport
              email CLIENT UPDATE email.mails
    ";
    expect_and_nothing_more(shop, &placed, &placed_and(processed, &placed)).await;
}

/// A caller's trace goes on here: the root is a child of the caller's span, and what other systems
/// keep in `tracestate` comes along. Its flag does not decide, and its baggage stays outside.
#[tokio::test]
async fn an_order_in_its_callers_own_trace() {
    const CALLER: &str = "00f067aa0ba902b7";
    let shop = shared().await;
    let trace = unique_trace();
    let customer = shop.customer();
    let request = customer
        .request(Method::POST, "/orders")
        .header("traceparent", format!("00-{trace}-{CALLER}-00"))
        .header("tracestate", "theirs=1")
        .header("baggage", "order.id=forged,customer=alice");
    let placed = customer.place(request, &[(1, "ITEM-001")]).await.unwrap();
    assert_eq!(placed.trace, trace);

    let expected = Expected {
        caller: Some(CALLER),
        ..Expected::of_order(&placed, &confirmed("ITEM-001", &placed))
    };
    expect(shop, &expected).await;
    for span in shop.receiver.spans_of(&trace) {
        assert_eq!(
            span.trace_state, "theirs=1",
            "{} {}",
            span.service, span.name
        );
    }
}

/// Email fails, again and again. Each attempt is a `process` span of its own, a sibling of the first,
/// and does its work again, to no further effect. After the fifth the message is kept as a dead letter:
/// its `send` is a child of the attempt that was the last, in the same trace.
#[tokio::test]
async fn an_order_whose_mail_fails() {
    let shop = own("mail-fails", |opening| {
        opening
            .with_viewers()
            .with(|stack| stack.env("email", "FAULT_ERROR_RATE", "1"))
    })
    .await;
    let placed = shop.customer().order(&[(1, "ITEM-001")]).await.unwrap();
    expect_order(&shop, &placed, &placed_and(&dead_lettered(), &placed)).await;
}

/// Fifty at once: each is in a trace of its own, with its own item, and none has a span of another.
#[tokio::test]
async fn fifty_orders_at_once() {
    let shop = shared().await;
    let orders: Vec<_> = (0..50)
        .map(|number| {
            let customer = shop.customer();
            let item = format!("ITEM-00{}", 1 + number % 9);
            tokio::spawn(async move {
                let placed = customer.order(&[(1, &item)]).await.unwrap();
                (item, placed)
            })
        })
        .collect();
    let mut placed = Vec::new();
    for order in orders {
        placed.push(order.await.unwrap());
    }
    for (item, placed) in &placed {
        expect_order(shop, placed, &confirmed(item, placed)).await;
    }
    for (_, placed) in &placed {
        let all = shop.receiver.all();
        let mut of_order = all
            .iter()
            .filter(|span| span.text("order.id") == Some(&placed.id));
        assert!(of_order.all(|span| span.trace == placed.trace));
    }
}

/// An order is found by its id, and so is its trace, in whatever shows traces: one trace, not two.
#[tokio::test]
async fn an_order_is_found_by_its_id() {
    let shop = shared().await;
    let placed = shop.customer().order(&[(1, "ITEM-001")]).await.unwrap();
    expect_order(shop, &placed, &confirmed("ITEM-001", &placed)).await;
    assert_eq!(placed.answer.body["trace_id"], placed.trace.as_str());
    for viewer in &shop.viewers {
        for service in ["gateway", "orders", "worker", "inventory", "email"] {
            let found = viewer
                .find(service, ("order.id", &placed.id))
                .await
                .unwrap();
            let traces: Vec<_> = found.iter().map(|trace| &trace[0].trace).collect();
            assert_eq!(traces, [&placed.trace], "{service} in {}", viewer.url());
        }
    }
}

/// What happens up to the broker, and below `send` whatever happens then.
pub(crate) fn placed_and(processed: &str, placed: &Placed) -> String {
    let placing = "
gateway SERVER POST /orders  201
  gateway CLIENT POST http://orders/orders  201
    orders SERVER POST /orders  201
      orders CLIENT BEGIN
      orders CLIENT INSERT orders.orders
      orders CLIENT INSERT orders.order_items
      orders CLIENT INSERT orders.outbox
      orders CLIENT COMMIT
      orders PRODUCER send order.created
";
    for_order(&format!("{placing}{processed}"), placed)
}

/// The whole trace of an order of one item.
pub(crate) fn confirmed(item: &str, placed: &Placed) -> String {
    placed_and(&handled(item), placed)
}

/// What the worker does for an order of one item.
pub(crate) fn handled(item: &str) -> String {
    let processed = "
        worker CONSUMER process order.created  linked
          worker CLIENT POST http://inventory/stock/{item}/reserve  200
            inventory SERVER POST /stock/{item_id}/reserve  200
              inventory CLIENT BEGIN
              inventory CLIENT INSERT inventory.reservations
              inventory CLIENT UPDATE inventory.items
              inventory CLIENT COMMIT
          worker CLIENT PATCH http://orders/orders/{id}/status  200
            orders SERVER PATCH /orders/{id}/status  200
              orders CLIENT UPDATE orders.orders
              orders CLIENT SELECT orders.order_items
          worker CLIENT POST http://email/send  202
            email SERVER POST /send  202
              email CLIENT INSERT email.mails
              email CLIENT INSERT email.transport
              email CLIENT UPDATE email.mails
    ";
    processed.replace("{item}", item)
}

/// What the worker does for an order of one item whose mail fails each time.
pub(crate) fn dead_lettered() -> String {
    let first = "
        worker CONSUMER process order.created  linked ERROR 500 \"email answered 500\"
          worker CLIENT POST http://inventory/stock/ITEM-001/reserve  200
            inventory SERVER POST /stock/{item_id}/reserve  200
              inventory CLIENT BEGIN
              inventory CLIENT INSERT inventory.reservations
              inventory CLIENT UPDATE inventory.items
              inventory CLIENT COMMIT
          worker CLIENT PATCH http://orders/orders/{id}/status  200
            orders SERVER PATCH /orders/{id}/status  200
              orders CLIENT UPDATE orders.orders
              orders CLIENT SELECT orders.order_items
          worker CLIENT POST http://email/send  500 ERROR 500
            email SERVER POST /send  500 ERROR 500
    ";
    let again = "
        worker CONSUMER process order.created  retry {n} linked ERROR 500 \"email answered 500\"
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
          worker CLIENT POST http://email/send  500 ERROR 500
            email SERVER POST /send  500 ERROR 500
    ";
    let dead_letter = "
          worker PRODUCER send order.created.dlq
    ";
    let again = |n: u32| again.replace("{n}", &n.to_string());
    [
        first,
        &again(1),
        &again(2),
        &again(3),
        &again(4),
        dead_letter,
    ]
    .concat()
}

/// The order's own id, where a URL has it.
fn for_order(trace: &str, placed: &Placed) -> String {
    let with_id = format!("http://orders/orders/{}/status", placed.id);
    trace.replace("http://orders/orders/{id}/status", &with_id)
}

/// The trace is as expected, and still is when those of later orders have come. Each process exports
/// its spans in the order in which they end: had there been any more, they would be here.
async fn expect_and_nothing_more(shop: &Shop, placed: &Placed, trace: &str) {
    expect_order(shop, placed, trace).await;
    let later = shop.customer().order(&[(1, "ITEM-009")]).await;
    let later = later.expect("a later order");
    expect_order(shop, &later, &confirmed("ITEM-009", &later)).await;
    expect_order(shop, placed, trace).await;
}

/// A trace id that nobody else uses.
fn unique_trace() -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    format!("{:032x}", now.unwrap_or(LIMIT).as_nanos())
}
