//! Customers who order all the time, whatever happens behind the door.
//!
//! Who gets no answer, or an error, asks again with the same `Idempotency-Key`, until the order is
//! accepted. So at the end there must be exactly one order for each of them.

use std::{sync::Arc, time::Duration};

use e2e::shop::{Customer, Placed};
use reqwest::Method;
use tokio::{
    sync::watch,
    task::{JoinHandle, JoinSet},
    time::{Instant, interval, sleep},
};
use tokio_util::sync::CancellationToken;

use crate::support::LIMIT;

/// What they order, in turn: what is there, what is soon sold out, and what never was.
pub(crate) const BASKETS: [&[(i64, &str)]; 8] = [
    &[(1, "ITEM-001")],
    &[(2, "ITEM-002"), (1, "ITEM-003")],
    &[(1, "ITEM-004"), (1, "ITEM-005"), (2, "ITEM-004")],
    &[(1, "ITEM-006"), (1, "ITEM-404")],
    &[(3, "ITEM-007")],
    &[(1, "ITEM-008"), (1, "ITEM-009")],
    &[(2, "ITEM-010"), (1, "ITEM-002")],
    &[(1, "ITEM-001"), (1, "ITEM-009")],
];

/// How long a customer waits before asking again.
const PAUSE: Duration = Duration::from_millis(500);

/// Orders that are placed at a steady rate, until their end.
pub(crate) struct Load {
    answered: watch::Receiver<usize>,
    end: CancellationToken,
    placing: JoinHandle<Orders>,
}

/// What became of the wish to place them.
#[derive(Debug, Default)]
pub(crate) struct Orders {
    /// Answered with 201, at first or at last: these, and no others.
    pub(crate) accepted: Vec<Placed>,
    /// What was answered before that, or why nothing was.
    pub(crate) failures: Vec<anyhow::Error>,
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
    let tell = Arc::new(tell);
    let mut customers = JoinSet::new();
    let mut clock = interval(every);
    for basket in BASKETS.into_iter().cycle() {
        if end.run_until_cancelled(clock.tick()).await.is_none() {
            break;
        }
        customers.spawn(insist(customer.clone(), basket, Arc::clone(&tell)));
    }
    let mut orders = Orders::default();
    for (placed, failures) in customers.join_all().await {
        orders.accepted.push(placed);
        orders.failures.extend(failures);
    }
    orders
}

/// Asks until the order is accepted.
async fn insist(
    customer: Customer,
    basket: &[(i64, &str)],
    tell: Arc<watch::Sender<usize>>,
) -> (Placed, Vec<anyhow::Error>) {
    let key = format!("{:032x}", rand::random::<u128>());
    let mut failures = Vec::new();
    let deadline = Instant::now() + LIMIT;
    loop {
        let request = customer.request(Method::POST, "/orders");
        let request = request.header("idempotency-key", &key);
        let answer = customer.place(request, basket).await;
        tell.send_modify(|answered| *answered += 1);
        match answer {
            Ok(placed) => return (where_it_was_placed(placed), failures),
            Err(error) => failures.push(error),
        }
        assert!(Instant::now() < deadline, "never accepted: {failures:?}");
        sleep(PAUSE).await;
    }
}

/// An order that was accepted at an earlier attempt, whose answer was lost, was placed in the trace of
/// that one.
fn where_it_was_placed(mut placed: Placed) -> Placed {
    let trace = placed.answer.body["trace_id"].as_str();
    placed.trace = trace.expect("a trace").to_owned();
    placed
}
