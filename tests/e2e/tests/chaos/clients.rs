//! Clients that record every request with its outcome, until the end.
//!
//! - A customer places an order and retries with the same `Idempotency-Key` until a 201 comes. Then the customer reads
//!   the order from time to time until it is settled. Each request goes to one of the gateways at random.
//! - One client walks through the newest pages of the list, another one reads the stock.

use std::time::Duration;

use e2e::{
    history::{Level, Outcome, Recorder, Request, Seen},
    shop::{Answer, Customer, Placed, order_of},
};
use rand::seq::IndexedRandom;
use reqwest::Method;
use serde_json::Value;
use tokio::{
    task::{JoinError, JoinHandle, JoinSet},
    time::{Instant, interval, sleep},
};
use tokio_util::sync::CancellationToken;

use crate::{load::BASKETS, support::REST};

/// The pause before a customer's first retry and the longest one; each is twice as long as the one before. Without a
/// backoff, the customers of one outage keep a small machine too busy to recover from it.
const BACKOFF: [Duration; 2] = [Duration::from_millis(500), Duration::from_secs(10)];
/// When a customer reads the order after the 201, each counted from the read before.
const READS: [Duration; 4] = [
    Duration::ZERO,
    Duration::from_millis(500),
    Duration::from_secs(3),
    Duration::from_secs(15),
];
/// Between two walks through the list.
const LIST_EVERY: Duration = Duration::from_secs(2);
/// How many pages a walk has during the run.
const PAGES: usize = 3;
/// The size of a page, the largest that the gateway allows.
const PAGE: usize = 100;
/// Between two snapshots of the stock.
const STOCK_EVERY: Duration = Duration::from_millis(300);

/// An order that got its 201.
#[derive(Debug, Clone)]
pub(crate) struct Accepted {
    pub(crate) placed: Placed,
    /// When the first request for it was sent, in nanoseconds since 1970.
    pub(crate) requested: u64,
}

/// Who sends requests: some gateways, and the history that all is recorded in.
#[derive(Debug, Clone)]
pub(crate) struct Doors {
    gateways: Vec<Customer>,
    pub(crate) recorder: Recorder,
}

/// Clients at work.
pub(crate) struct Clients {
    end: CancellationToken,
    customers: JoinHandle<Vec<Accepted>>,
    readers: JoinSet<()>,
}

impl Clients {
    /// Starts a customer `each_second` times a second, and those who only read.
    pub(crate) fn start(doors: &Doors, each_second: u32) -> Self {
        let end = CancellationToken::new();
        let mut readers = JoinSet::new();
        let (stock, list) = (doors.clone(), doors.clone());
        readers.spawn(repeat(end.clone(), STOCK_EVERY, async move || {
            stock.read_stock().await;
        }));
        readers.spawn(repeat(end.clone(), LIST_EVERY, async move || {
            list.walk(PAGES).await;
        }));
        let customers = order(
            doors.clone(),
            Duration::from_secs(1) / each_second,
            end.clone(),
        );
        Self {
            end,
            customers: tokio::spawn(customers),
            readers,
        }
    }

    /// Starts no further customer, and waits until each one has its 201.
    ///
    /// # Errors
    /// A customer panicked, for example because no 201 came within minutes.
    pub(crate) async fn end(self) -> Result<Vec<Accepted>, JoinError> {
        self.end.cancel();
        let accepted = self.customers.await;
        self.readers.join_all().await;
        accepted
    }
}

async fn repeat(end: CancellationToken, every: Duration, mut read: impl AsyncFnMut()) {
    let mut clock = interval(every);
    while end.run_until_cancelled(clock.tick()).await.is_some() {
        read().await;
    }
}

async fn order(doors: Doors, every: Duration, end: CancellationToken) -> Vec<Accepted> {
    let mut customers = JoinSet::new();
    let mut clock = interval(every);
    for basket in BASKETS.into_iter().cycle() {
        if end.run_until_cancelled(clock.tick()).await.is_none() {
            break;
        }
        let (doors, end) = (doors.clone(), end.clone());
        customers.spawn(async move {
            let accepted = doors.place(basket).await;
            end.run_until_cancelled(doors.follow(&accepted.placed.id))
                .await;
            accepted
        });
    }
    customers.join_all().await
}

impl Doors {
    pub(crate) fn of(gateways: Vec<Customer>) -> Self {
        Self {
            gateways,
            recorder: Recorder::default(),
        }
    }

    fn any(&self) -> &Customer {
        let gateway = self.gateways.choose(&mut rand::rng());
        gateway.expect("at least one gateway")
    }

    /// Retries with one key until a 201 comes.
    async fn place(&self, basket: &[(i64, &str)]) -> Accepted {
        let key = format!("{:032x}", rand::random::<u128>());
        let body = order_of(basket);
        let first = self.recorder.now();
        let deadline = Instant::now() + REST;
        let [mut pause, longest] = BACKOFF;
        loop {
            let gateway = self.any();
            let request = gateway.request(Method::POST, "/orders");
            let request = request.header("idempotency-key", &key).json(&body);
            let begun = self.recorder.now();
            let answer = gateway.send(request).await;
            let items = basket.iter();
            self.recorder.record(
                begun,
                Request::Place {
                    key: key.clone(),
                    items: items
                        .map(|(count, item)| (*count, (*item).to_owned()))
                        .collect(),
                    outcome: outcome(&answer, 201, seen),
                },
            );
            let failure = match answer {
                Ok(answer) if answer.status == 201 => {
                    return Accepted {
                        placed: placed(answer),
                        requested: self.recorder.nanoseconds(first),
                    };
                }
                Ok(answer) => format!("{} {}", answer.status, answer.body),
                Err(error) => format!("{error:#}"),
            };
            assert!(Instant::now() < deadline, "{key} got no 201: {failure}");
            sleep(pause.mul_f64(rand::random_range(0.5..1.0))).await;
            pause = longest.min(pause * 2);
        }
    }

    /// Reads an order until it is settled, or often enough.
    async fn follow(&self, id: &str) {
        for pause in READS {
            sleep(pause).await;
            let begun = self.recorder.now();
            let answer = self.any().get(&format!("/orders/{id}")).await;
            let outcome = outcome(&answer, 200, seen);
            let settled = matches!(&outcome, Outcome::Answered(seen) if seen.status != "pending");
            let id = id.to_owned();
            self.recorder.record(begun, Request::Get { id, outcome });
            if settled {
                return;
            }
        }
    }

    /// Reads the newest orders, so many pages of them. Answers with how many orders there were.
    pub(crate) async fn walk(&self, pages: usize) -> usize {
        let begun = self.recorder.now();
        let outcome = self.pages(pages).await;
        let count = match &outcome {
            Outcome::Answered(orders) => orders.len(),
            _ => 0,
        };
        self.recorder.record(begun, Request::List { outcome });
        count
    }

    async fn pages(&self, pages: usize) -> Outcome<Vec<Seen>> {
        let mut orders: Vec<Seen> = Vec::new();
        for _ in 0..pages {
            let before = orders.last().map(|last| format!("&before={}", last.id));
            let path = format!("/orders?limit={PAGE}{}", before.unwrap_or_default());
            let answer = self.any().get(&path).await;
            match outcome(&answer, 200, |page| {
                page.as_array()?.iter().map(seen).collect()
            }) {
                Outcome::Answered(page) => {
                    let page: Vec<_> = page;
                    let is_last = page.len() < PAGE;
                    orders.extend(page);
                    if is_last {
                        break;
                    }
                }
                failed => return failed,
            }
        }
        Outcome::Answered(orders)
    }

    /// Reads the stock. Answers with its levels, if there was an answer.
    pub(crate) async fn read_stock(&self) -> Option<Vec<Level>> {
        let begun = self.recorder.now();
        let answer = self.any().get("/inventory/stock").await;
        let outcome: Outcome<Vec<_>> = outcome(&answer, 200, |levels| {
            levels.as_array()?.iter().map(level).collect()
        });
        let levels = match &outcome {
            Outcome::Answered(levels) => Some(levels.clone()),
            _ => None,
        };
        self.recorder.record(begun, Request::Stock { outcome });
        levels
    }
}

/// What a request came to; `read` takes from the body what the rules need.
///
/// # Panics
/// A success has a body that `read` does not understand: no client could.
fn outcome<T>(
    answer: &anyhow::Result<Answer>,
    success: u16,
    read: impl FnOnce(&Value) -> Option<T>,
) -> Outcome<T> {
    match answer {
        Ok(answer) if answer.status == success => {
            let read = read(&answer.body);
            Outcome::Answered(read.unwrap_or_else(|| panic!("{answer:?} has a strange body")))
        }
        Ok(answer) => Outcome::Refused(answer.status),
        Err(error) => Outcome::Unknown(format!("{error:#}")),
    }
}

fn seen(order: &Value) -> Option<Seen> {
    Some(Seen {
        id: order["id"].as_str()?.to_owned(),
        status: order["status"].as_str()?.to_owned(),
        created_at: order["created_at"].as_str()?.to_owned(),
    })
}

fn level(level: &Value) -> Option<Level> {
    Some(Level {
        item: level["item_id"].as_str()?.to_owned(),
        available: level["available"].as_i64()?,
        reserved: level["reserved"].as_i64()?,
    })
}

/// The order of a 201, in the trace in which it was placed. That is an earlier attempt's if only its answer was lost.
fn placed(answer: Answer) -> Placed {
    let text = |name: &str| answer.body[name].as_str().unwrap_or_default().to_owned();
    Placed {
        id: text("id"),
        trace: text("trace_id"),
        answer,
    }
}
