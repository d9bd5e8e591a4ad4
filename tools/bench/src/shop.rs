//! A system that orders are placed in, seen from outside: nothing but its HTTP API.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use anyhow::{Context, ensure};
use futures_util::{StreamExt, stream};
use serde::Deserialize;
use serde_json::json;
use tokio::time::{Instant, sleep};

/// There is plenty of nine items. Spread over them, orders do not wait for one row of stock.
const ITEMS: usize = 9;
/// Longer than any gateway waits for anybody.
const PATIENCE: Duration = Duration::from_secs(20);
/// How often it is asked whether the last orders are settled.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// How many orders are asked for at once when all are asked for.
const AT_ONCE: usize = 16;
/// Orders are handled about in turn: behind so many pending ones in a row there are hardly others.
const HORIZON: usize = 500;

/// A system, and the orders that were placed in it.
#[derive(Debug)]
pub(crate) struct Shop {
    customer: Customer,
    /// Not known to be settled; oldest first.
    pending: Vec<Placed>,
}

/// Who orders, at one gateway or in turns at several that share the load. Clones share connections.
#[derive(Debug, Clone)]
pub(crate) struct Customer {
    http: reqwest::Client,
    gateways: Arc<[String]>,
    turn: Arc<AtomicUsize>,
}

/// An order that was accepted.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Placed {
    pub(crate) id: String,
    /// The trace in which it was placed, where the system says so.
    pub(crate) trace_id: Option<String>,
}

/// Which items are ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Items {
    /// Nine in turn.
    Spread,
    /// Always the same, so that all orders want one row of stock.
    One,
}

#[derive(Deserialize)]
struct Status {
    status: String,
}

impl Shop {
    pub(crate) fn at(gateways: Vec<String>) -> anyhow::Result<Self> {
        let customer = Customer {
            http: reqwest::Client::builder()
                .no_proxy()
                .timeout(PATIENCE)
                .build()?,
            gateways: gateways.into(),
            turn: Arc::default(),
        };
        let pending = Vec::new();
        Ok(Self { customer, pending })
    }

    pub(crate) fn customer(&self) -> &Customer {
        &self.customer
    }

    /// Remembers orders that were placed.
    pub(crate) fn placed(&mut self, orders: impl IntoIterator<Item = Placed>) {
        self.pending.extend(orders);
    }

    /// How many orders are not known to be settled.
    pub(crate) fn pending(&self) -> usize {
        self.pending.len()
    }

    /// Waits until some of the last orders are settled, which says that about all of them are.
    /// Few are asked for, since asking is work for the system too.
    pub(crate) async fn wait_for_the_last(&self, deadline: Instant) -> anyhow::Result<()> {
        for order in self.pending.iter().rev().step_by(16).take(4) {
            while Instant::now() < deadline && self.customer.status(order).await? == "pending" {
                sleep(LOOK_EVERY).await;
            }
        }
        Ok(())
    }

    /// Asks for the orders that are pending, in turn; how many of them are confirmed by now.
    pub(crate) async fn count_confirmed(&mut self) -> anyhow::Result<usize> {
        let asked = std::mem::take(&mut self.pending);
        let mut answers = stream::iter(&asked)
            .map(|order| self.customer.status(order))
            .buffered(AT_ONCE);
        let (mut confirmed, mut seen, mut in_a_row) = (0, 0, 0);
        let mut pending = Vec::new();
        while in_a_row < HORIZON
            && let Some(status) = answers.next().await
        {
            match status?.as_str() {
                "pending" => {
                    in_a_row += 1;
                    pending.push(asked[seen].clone());
                }
                status => {
                    in_a_row = 0;
                    confirmed += usize::from(status == "confirmed");
                }
            }
            seen += 1;
        }
        drop(answers);
        pending.extend_from_slice(&asked[seen..]);
        self.pending = pending;
        Ok(confirmed)
    }
}

impl Customer {
    /// Places an order of one piece.
    pub(crate) async fn place(&self, items: Items) -> anyhow::Result<Placed> {
        let turn = self.turn.fetch_add(1, Relaxed);
        let item = match items {
            Items::Spread => 1 + turn % ITEMS,
            Items::One => 1,
        };
        let items = [json!({"item_id": format!("ITEM-{item:03}"), "quantity": 1, "price": 250})];
        let order = json!({"customer_id": "bench", "items": items});
        let url = format!("{}/orders", self.gateway(turn));
        let answer = self.http.post(url).json(&order).send().await?;
        ensure!(
            answer.status().as_u16() == 201,
            "no order: {}",
            answer.status()
        );
        Ok(answer.json().await?)
    }

    async fn status(&self, order: &Placed) -> anyhow::Result<String> {
        let turn = self.turn.fetch_add(1, Relaxed);
        let url = format!("{}/orders/{}", self.gateway(turn), order.id);
        let answer = self.http.get(&url).send().await?;
        let status = answer.status();
        let body: Status = answer
            .json()
            .await
            .with_context(|| format!("{url}: {status}"))?;
        Ok(body.status)
    }

    fn gateway(&self, turn: usize) -> &str {
        // Items go in turn as well; with a step of its own each gateway sees all of them.
        &self.gateways[turn / ITEMS % self.gateways.len()]
    }
}
