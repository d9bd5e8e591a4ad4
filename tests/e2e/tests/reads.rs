//! What is only asked for leaves traces as well. They have no order's id: who looks for an order is
//! to find the one trace in which it was placed.

use crate::{
    one_trace::confirmed,
    support::{Expected, expect, expect_order, shared},
};
use e2e::tree::Forest;

#[tokio::test]
async fn reads_are_traces_of_nobodys_order() {
    let shop = shared().await;
    let customer = shop.customer();
    let mut last = customer.order(&[(1, "ITEM-001")]).await.unwrap();
    for _ in 0..2 {
        expect_order(shop, &last, &confirmed("ITEM-001", &last)).await;
        last = customer.order(&[(1, "ITEM-001")]).await.unwrap();
    }
    let one_order = format!("/orders/{}", last.id);

    for (asked, spans) in [
        (
            one_order.as_str(),
            "
            gateway SERVER GET /orders/{id}  200
              gateway CLIENT GET http://orders{asked}  200
                orders SERVER GET /orders/{id}  200
                  orders CLIENT SELECT orders.orders
                  orders CLIENT SELECT orders.order_items
            ",
        ),
        (
            "/orders?limit=3",
            "
            gateway SERVER GET /orders  200
              gateway CLIENT GET http://orders{asked}  200
                orders SERVER GET /orders  200
                  orders CLIENT SELECT orders.orders
                  orders CLIENT SELECT orders.order_items
            ",
        ),
        // The same list by a query for each order: this is what to look for in a trace.
        (
            "/orders-nplus1?limit=3",
            "
            gateway SERVER GET /orders-nplus1  200
              gateway CLIENT GET http://orders{asked}  200
                orders SERVER GET /orders-nplus1  200
                  orders CLIENT SELECT orders.orders
                  orders CLIENT SELECT orders.order_items
                  orders CLIENT SELECT orders.order_items
                  orders CLIENT SELECT orders.order_items
            ",
        ),
        (
            "/inventory/stock",
            "
            gateway SERVER GET /inventory/stock  200
              gateway CLIENT GET http://inventory/stock  200
                inventory SERVER GET /stock  200
                  inventory CLIENT SELECT inventory.items
            ",
        ),
        (
            "/inventory/stock/ITEM-001",
            "
            gateway SERVER GET /inventory/stock/{item_id}  200
              gateway CLIENT GET http://inventory/stock/ITEM-001  200
                inventory SERVER GET /stock/{item_id}  200
                  inventory CLIENT SELECT inventory.items
            ",
        ),
        // Not to be found is an error to the one who asked, and none to the one who was asked.
        (
            "/inventory/stock/ITEM-404",
            "
            gateway SERVER GET /inventory/stock/{item_id}  404
              gateway CLIENT GET http://inventory/stock/ITEM-404  404 ERROR 404
                inventory SERVER GET /stock/{item_id}  404
                  inventory CLIENT SELECT inventory.items
            ",
        ),
    ] {
        let answer = customer.get(asked).await.unwrap();
        let expected = Expected {
            trace: &answer.trace,
            asked,
            order: None,
            caller: None,
            tree: Forest::parse(&spans.replace("{asked}", asked)),
        };
        expect(shop, &expected).await;
    }
}
