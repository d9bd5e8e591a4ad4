//! Customers who order all the time, whatever happens behind the door.

use std::time::Duration;

use e2e::shop::{Customer, Placed};
use tokio::{
    sync::watch,
    task::{JoinHandle, JoinSet},
    time::interval,
};
use tokio_util::sync::CancellationToken;

use crate::support::LIMIT;

/// What they order, in turn: what is there, what is soon sold out, and what never was.
const BASKETS: [&[(i64, &str)]; 8] = [
    &[(1, "ITEM-001")],
    &[(2, "ITEM-002"), (1, "ITEM-003")],
    &[(1, "ITEM-004"), (1, "ITEM-005"), (2, "ITEM-004")],
    &[(1, "ITEM-006"), (1, "ITEM-404")],
    &[(3, "ITEM-007")],
    &[(1, "ITEM-008"), (1, "ITEM-009")],
    &[(2, "ITEM-010"), (1, "ITEM-002")],
    &[(1, "ITEM-001"), (1, "ITEM-009")],
];

/// Orders that are placed at a steady rate, until their end.
pub(crate) struct Load {
    answered: watch::Receiver<usize>,
    end: CancellationToken,
    placing: JoinHandle<Orders>,
}

/// What became of the wish to place them.
#[derive(Debug, Default)]
pub(crate) struct Orders {
    /// Answered with 201: none of these may be lost.
    pub(crate) accepted: Vec<Placed>,
    /// Answered otherwise, or not at all: there may be an order, or not.
    pub(crate) failed: Vec<anyhow::Error>,
}

impl Load {
    /// Has so many orders placed each second, whether the earlier ones have been answered or not.
    pub(crate) fn start(customer: Customer, each_second: u32) -> Self {
        let (tell, answered) = watch::channel(0);
        let end = CancellationToken::new();
        let placing = place(
            customer,
            Duration::from_secs(1) / each_second,
            tell,
            end.clone(),
        );
        Self {
            answered,
            end,
            placing: tokio::spawn(placing),
        }
    }

    /// Waits until so many more have been answered, well or not.
    pub(crate) async fn goes_on_for(&mut self, count: usize) {
        let enough = *self.answered.borrow() + count;
        let answered = self.answered.wait_for(|answered| *answered >= enough);
        let answered = tokio::time::timeout(LIMIT, answered).await;
        answered.expect("an answer").expect("customers");
    }

    /// Has no more placed, and waits for the last answers.
    pub(crate) async fn end(self) -> Orders {
        self.end.cancel();
        self.placing.await.expect("customers who do not panic")
    }
}

async fn place(
    customer: Customer,
    every: Duration,
    tell: watch::Sender<usize>,
    end: CancellationToken,
) -> Orders {
    let mut orders = Orders::default();
    let mut on_their_way = JoinSet::new();
    let mut clock = interval(every);
    let mut baskets = BASKETS.into_iter().cycle();
    while !end.is_cancelled() {
        tokio::select! {
            _ = clock.tick() => {
                let (customer, basket) = (customer.clone(), baskets.next().unwrap_or_default());
                on_their_way.spawn(async move { customer.order(basket).await });
            }
            Some(answer) = on_their_way.join_next() => {
                orders.add(answer.expect("a customer who does not panic"));
                tell.send_modify(|answered| *answered += 1);
            }
            () = end.cancelled() => {}
        }
    }
    for answer in on_their_way.join_all().await {
        orders.add(answer);
    }
    orders
}

impl Orders {
    fn add(&mut self, answer: anyhow::Result<Placed>) {
        match answer {
            Ok(placed) => self.accepted.push(placed),
            Err(error) => self.failed.push(error),
        }
    }
}
