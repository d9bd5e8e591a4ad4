//! One run: orders placed for a while, then waited for until they are confirmed.

use std::{num::NonZeroU32, time::Duration};

use clap::Args;
use tokio::time::Instant;

use crate::{
    load::{Answers, Load},
    report::Cell,
    resources::Usage,
    shop::{Items, Shop},
};

/// How long is measured, and how often.
#[derive(Debug, Clone, Args)]
pub(crate) struct Runs {
    /// How many seconds orders are placed in one run.
    #[arg(long, default_value_t = at_least_one(4))]
    seconds: NonZeroU32,
    /// How many runs there are of each kind, one kind after the other and then again.
    #[arg(long, default_value_t = at_least_one(5))]
    rounds: NonZeroU32,
}

/// What one run has shown.
#[derive(Debug)]
pub(crate) struct Measured {
    pub(crate) answers: Answers,
    /// Orders confirmed until the last was, or until nobody waited any longer.
    confirmed: usize,
    /// From the first order until then.
    took: Duration,
    /// What the system's processes used for it, and have at the end.
    used: Option<Usage>,
}

/// Figures of several runs, by the columns of [`COLUMNS`].
#[derive(Debug, Default)]
pub(crate) struct Figures([Vec<f64>; COLUMNS.len()]);

/// What is told of each kind of load.
pub(crate) const COLUMNS: [&str; 8] = [
    "orders/s",
    "p50 ms",
    "p99 ms",
    "max ms",
    "errors",
    "confirmed/s",
    "CPU ms/order",
    "MB",
];

impl Runs {
    pub(crate) fn time(&self) -> Duration {
        Duration::from_secs(self.seconds.get().into())
    }

    pub(crate) fn rounds(&self) -> u32 {
        self.rounds.get()
    }
}

/// This many, or one: for what there can't be none of.
pub(crate) fn at_least_one(number: u32) -> NonZeroU32 {
    NonZeroU32::new(number).unwrap_or(NonZeroU32::MIN)
}

/// Places orders for so long and then waits for their confirmation, no longer than `patience`.
pub(crate) async fn measure(
    shop: &mut Shop,
    load: Load,
    items: Items,
    time: Duration,
    patience: Duration,
    processes: &[u32],
) -> anyhow::Result<Measured> {
    // What is left from before would be counted as well.
    shop.count_confirmed().await?;
    let (before, start) = (Usage::of(processes), Instant::now());
    let answers = load.run(shop.customer(), items, time).await?;
    shop.placed(answers.placed.iter().map(|(_, order)| order.clone()));
    let deadline = Instant::now() + patience;
    let mut confirmed = 0;
    loop {
        shop.wait_for_the_last(deadline).await?;
        let (took, after) = (start.elapsed(), Usage::of(processes));
        confirmed += shop.count_confirmed().await?;
        if shop.pending() == 0 || Instant::now() >= deadline {
            return Ok(Measured {
                answers,
                confirmed,
                took,
                used: after.zip(before).map(|(after, before)| Usage {
                    processor: after.processor.saturating_sub(before.processor),
                    ..after
                }),
            });
        }
    }
}

impl Measured {
    /// How many orders were confirmed each second, from the first one placed to the last confirmed.
    pub(crate) fn confirmed_each_second(&self) -> f64 {
        self.confirmed as f64 / self.took.as_secs_f64()
    }

    /// Processor time for one order, in milliseconds.
    pub(crate) fn processor_each_order(&self) -> Option<f64> {
        let confirmed = Some(self.confirmed).filter(|confirmed| *confirmed > 0)?;
        Some(self.used?.processor.as_secs_f64() * 1_000.0 / confirmed as f64)
    }
}

impl Figures {
    pub(crate) fn add(&mut self, run: &Measured) {
        let answers = &run.answers;
        let figures = [
            Some(answers.placed.len() as f64 / answers.took.as_secs_f64()),
            Some(answers.wait(0.5)),
            Some(answers.wait(0.99)),
            Some(answers.wait(1.0)),
            Some(answers.errors as f64),
            Some(run.confirmed_each_second()),
            run.processor_each_order(),
            run.used.map(Usage::megabytes),
        ];
        for (column, figure) in self.0.iter_mut().zip(figures) {
            column.extend(figure);
        }
    }

    /// The figures of one column.
    pub(crate) fn of(&self, name: &str) -> &[f64] {
        let mut columns = COLUMNS.iter().zip(&self.0);
        columns
            .find(|(column, _)| **column == name)
            .map_or(&[], |(_, figures)| figures)
    }

    pub(crate) fn cells(self) -> impl Iterator<Item = Cell> {
        self.0.into_iter().map(Cell::Runs)
    }
}
