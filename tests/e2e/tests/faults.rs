//! What holds when things are killed, stopped, sent twice or make no sense.
//!
//! Each test is a promise, and breaks something for real. Afterwards all that runs again comes to
//! rest, and then the database must add up (`database.rs` says what that means) and the traces must
//! tell what happened.
//!
//! - [`broker`]: orders are placed while Kafka is down;
//! - [`twice`]: what is asked for or delivered again has no second effect;
//! - [`waits`]: whoever is away or slow is waited for;
//! - [`dead_letters`]: what can't be handled is kept, with its reason, and handled later;
//! - [`recreated`]: a topic is deleted, and its offsets begin again;
//! - [`kills`]: any process dies at any moment;
//! - [`stops`]: whoever is asked to end finishes what it has begun.

mod broker;
mod dead_letters;
pub(crate) mod kills;
mod recreated;
mod stops;
mod twice;
mod waits;

use std::collections::HashSet;

use e2e::{
    receiver::Traces,
    shop::{Placed, Shop},
    trace::{Span, Status},
};

use crate::support::LIMIT;

/// Where every order comes through, from the click to the mail: whose span, of which name.
const WAY: [(&str, &str); 5] = [
    ("gateway", "POST /orders"),
    ("orders", "send order.created"),
    ("worker", "process order.created"),
    ("inventory", "POST /stock/{item_id}/reserve"),
    ("email", "POST /send"),
];

/// Waits until the trace of each order leads from the click to the mail. The spans of these services
/// may be missing.
async fn expect_traces(shop: &Shop, orders: &[Placed], without: &[&str]) {
    expect_all(shop, orders, |spans| {
        let steps = WAY.iter().filter(|(service, _)| !without.contains(service));
        let is_there = |(service, name): &&(&str, &str)| {
            let mut spans = spans.iter();
            spans.any(|span| {
                // The gateway's answer may have been that it got none.
                let well = span.status == Status::Unset || span.service == "gateway";
                span.service == *service && span.name == *name && well
            })
        };
        steps
            .filter(|step| !is_there(step))
            .map(|step| format!("{step:?} is missing"))
            .collect()
    })
    .await;
}

/// Waits until the trace of each order leads from the click to the mail, and has no holes: no span
/// without its parent, no call that has not arrived, no message that nobody handled.
async fn expect_whole_traces(shop: &Shop, orders: &[Placed]) {
    expect_traces(shop, orders, &[]).await;
    expect_all(shop, orders, |spans| {
        let ids: HashSet<_> = spans.iter().map(|span| &span.id).collect();
        let parents: HashSet<_> = spans
            .iter()
            .filter_map(|span| span.parent.as_ref())
            .collect();
        let is_hole = |span: &&Span| {
            let has_arrived = parents.contains(&span.id) || !leads_on(span);
            let has_parent = span.parent.as_ref().is_none_or(|id| ids.contains(id));
            !has_arrived || !has_parent
        };
        let holes = spans.iter().filter(is_hole);
        holes.map(|span| format!("a hole at {span:?}")).collect()
    })
    .await;
}

/// Whether somebody else must have a span below this one.
fn leads_on(span: &Span) -> bool {
    let answered = span.attribute("http.response.status_code").is_some();
    let called = span.attribute("url.full").is_some();
    // A send that failed has brought nobody a message.
    let sent = span.name == "send order.created" && span.text("error.type").is_none();
    (called && answered) || sent
}

/// Waits until there is nothing to complain about in the trace of any of these orders.
async fn expect_all(shop: &Shop, orders: &[Placed], complaints: impl Fn(&[Span]) -> Vec<String>) {
    let mut wrong = Vec::new();
    let all_well = shop.receiver.wait_for(LIMIT, |traces: &Traces| {
        let spans = |order: &Placed| traces.get(&order.trace).map_or(&[][..], Vec::as_slice);
        wrong = orders
            .iter()
            .flat_map(|order| {
                let complaints = complaints(spans(order)).into_iter();
                complaints.map(|what| format!("order {}, trace {}: {what}", order.id, order.trace))
            })
            .collect();
        wrong.is_empty().then_some(())
    });
    let is_well = all_well.await.is_some();
    assert!(is_well, "{}", wrong.join("\n"));
}
