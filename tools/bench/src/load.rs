//! Customers who order, and how long each of them waits.
//!
//! Two kinds. *Closed*: so many clients, each with one order at a time. It shows what a system can do; but
//! when the system hangs the clients stop asking, and hardly any of the long waits is counted. *Open*:
//! orders come at a given rate, whether earlier ones have been answered or not, and the wait counts from
//! the moment at which the order was due. A pause of the system then shows in every order that fell into
//! it, as it would with real customers ("coordinated omission" is what it is called where it does not).

use std::{num::NonZeroU32, time::Duration};

use hdrhistogram::Histogram;
use tokio::{
    task::JoinSet,
    time::{Instant, sleep_until},
};

use crate::shop::{Customer, Items, Placed};

/// Longer than anybody waits, in microseconds.
const LONGEST: u64 = 60_000_000;

/// How orders come.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Load {
    /// From so many clients, each with one order at a time.
    Closed(NonZeroU32),
    /// So many each second, come what may.
    Open(NonZeroU32),
}

/// What became of them.
#[derive(Debug)]
pub(crate) struct Answers {
    /// In the order in which they were accepted.
    pub(crate) placed: Vec<(Instant, Placed)>,
    pub(crate) errors: usize,
    /// How long each waited for its answer, in microseconds; errors too.
    pub(crate) waits: Histogram<u64>,
    /// From the first order to the last answer.
    pub(crate) took: Duration,
}

impl Load {
    /// Has orders placed for so long.
    pub(crate) async fn run(
        self,
        customer: &Customer,
        items: Items,
        time: Duration,
    ) -> anyhow::Result<Answers> {
        let start = Instant::now();
        let mut answers = match self {
            Self::Closed(clients) => closed(customer, items, clients, start + time).await?,
            Self::Open(rate) => open(customer, items, rate, start + time).await?,
        };
        answers.took = start.elapsed();
        answers.placed.sort_by_key(|(accepted, _)| *accepted);
        Ok(answers)
    }
}

impl std::fmt::Display for Load {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Closed(clients) if clients.get() == 1 => write!(f, "1 client"),
            Self::Closed(clients) => write!(f, "{clients} clients"),
            Self::Open(rate) => write!(f, "{rate} each second"),
        }
    }
}

impl Answers {
    fn new() -> anyhow::Result<Self> {
        Ok(Self {
            placed: Vec::new(),
            errors: 0,
            waits: histogram()?,
            took: Duration::ZERO,
        })
    }

    /// The wait that this part of the orders (0 to 1) did not exceed, in milliseconds.
    pub(crate) fn wait(&self, part: f64) -> f64 {
        self.waits.value_at_quantile(part) as f64 / 1_000.0
    }

    fn add(&mut self, answer: anyhow::Result<Placed>, waited: Duration) {
        match answer {
            Ok(placed) => self.placed.push((Instant::now(), placed)),
            Err(_) => self.errors += 1,
        }
        self.waits
            .saturating_record(u64::try_from(waited.as_micros()).unwrap_or(u64::MAX));
    }

    fn merge(&mut self, other: Self) -> anyhow::Result<()> {
        self.placed.extend(other.placed);
        self.errors += other.errors;
        self.waits.add(other.waits)?;
        Ok(())
    }
}

/// For times in microseconds, of which three digits are kept.
pub(crate) fn histogram() -> anyhow::Result<Histogram<u64>> {
    Ok(Histogram::new_with_bounds(1, LONGEST, 3)?)
}

async fn closed(
    customer: &Customer,
    items: Items,
    clients: NonZeroU32,
    end: Instant,
) -> anyhow::Result<Answers> {
    let mut working = JoinSet::new();
    for _ in 0..clients.get() {
        let customer = customer.clone();
        working.spawn(async move {
            let mut answers = Answers::new()?;
            while Instant::now() < end {
                let asked = Instant::now();
                answers.add(customer.place(items).await, asked.elapsed());
            }
            anyhow::Ok(answers)
        });
    }
    let mut all = Answers::new()?;
    while let Some(answers) = working.join_next().await {
        all.merge(answers??)?;
    }
    Ok(all)
}

async fn open(
    customer: &Customer,
    items: Items,
    rate: NonZeroU32,
    end: Instant,
) -> anyhow::Result<Answers> {
    let mut all = Answers::new()?;
    let mut waiting = JoinSet::new();
    let mut due = Instant::now();
    while due < end {
        tokio::select! {
            () = sleep_until(due) => {
                let customer = customer.clone();
                waiting.spawn(async move {
                    let answer = customer.place(items).await;
                    (answer, due.elapsed())
                });
                due += Duration::from_secs(1) / rate.get();
            }
            Some(answered) = waiting.join_next() => {
                let (answer, waited) = answered?;
                all.add(answer, waited);
            }
        }
    }
    while let Some(answered) = waiting.join_next().await {
        let (answer, waited) = answered?;
        all.add(answer, waited);
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

    use axum::{Json, Router, routing::post};

    use super::*;
    use crate::shop::Shop;

    /// A system that answers at once, but for one pause in which it does nothing at all.
    async fn one_that_pauses(pause: Duration) -> Shop {
        static SEEN: AtomicUsize = AtomicUsize::new(0);
        let begun = Instant::now();
        let answer = move || async move {
            if begun.elapsed() < pause {
                sleep_until(begun + pause).await;
            }
            let id = SEEN.fetch_add(1, Relaxed).to_string();
            (
                axum::http::StatusCode::CREATED,
                Json(serde_json::json!({ "id": id })),
            )
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let gateway = format!("http://{}", listener.local_addr().unwrap());
        let app = Router::new().route("/orders", post(answer));
        tokio::spawn(async { axum::serve(listener, app).await });
        Shop::at(vec![gateway]).unwrap()
    }

    #[tokio::test]
    async fn a_pause_shows_in_every_order_that_was_due_in_it() {
        let (pause, time) = (Duration::from_millis(400), Duration::from_millis(800));
        let hundred = NonZeroU32::new(100).unwrap();
        let one = NonZeroU32::new(1).unwrap();

        let shop = one_that_pauses(pause).await;
        let open = Load::Open(hundred)
            .run(shop.customer(), Items::Spread, time)
            .await
            .unwrap();
        assert_eq!((open.placed.len(), open.errors), (80, 0));
        // 40 of 80 were due while it paused, spread over the pause: a quarter waited for half of it.
        assert!(open.wait(0.75) >= 150.0, "{}", open.wait(0.75));

        let shop = one_that_pauses(pause).await;
        let closed = Load::Closed(one)
            .run(shop.customer(), Items::Spread, time)
            .await
            .unwrap();
        assert!(
            closed.wait(1.0) >= 300.0,
            "the one client that asked has waited"
        );
        assert!(
            closed.wait(0.5) < closed.wait(1.0) / 2.0,
            "and hardly any other"
        );
    }
}
