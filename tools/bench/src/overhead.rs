//! What tracing costs: the same load with tracing off, on for all orders, and on for one in ten.
//!
//! The spans go to a sink that only counts them, in this process: what a collector does with them is
//! not the services' cost. The services are started anew for each run, since whether they trace is
//! decided at their start.

use std::{num::NonZeroU32, time::Duration};

use clap::Args;

use crate::{
    load::Load,
    measure::{COLUMNS, Figures, Measured, Runs, at_least_one, measure},
    report::{Cell, Report, median},
    shop::{Items, Shop},
    sink::Sink,
    stage::{Programs, Stage, Traces},
};

/// How long the last confirmation is waited for.
const PATIENCE: Duration = Duration::from_secs(60);
/// Placed after each start before anything is measured.
const WARM_UP: Duration = Duration::from_secs(1);
const PROCESSOR: &str = "CPU ms/order";

/// How orders come.
#[derive(Debug, Clone, Args)]
pub(crate) struct Options {
    /// How many clients there are, each with one order at a time.
    #[arg(long, default_value_t = at_least_one(16))]
    clients: NonZeroU32,
    #[command(flatten)]
    runs: Runs,
    #[command(flatten)]
    programs: Programs,
}

/// A way to trace, by the variables that make it; what one sets the others set too.
struct Way {
    name: &'static str,
    variables: [(&'static str, &'static str); 3],
    figures: Figures,
    spans_each_order: Vec<f64>,
}

pub(crate) async fn run(options: Options) -> anyhow::Result<Report> {
    let (sink, endpoint) = Sink::start().await?;
    let mut stage = Stage::set(&options.programs, Traces::To(endpoint)).await?;
    let mut ways = [
        Way::new("off", "true", "", ""),
        Way::new("every order", "", "parentbased_always_on", ""),
        Way::new("one in ten", "", "parentbased_traceidratio", "0.1"),
    ];
    for _ in 0..options.runs.rounds() {
        for way in &mut ways {
            stage.restart_with(&way.variables).await?;
            way.run(&options, &mut stage, &sink).await?;
        }
    }
    Ok(tell(ways))
}

impl Way {
    fn new(
        name: &'static str,
        disabled: &'static str,
        sampler: &'static str,
        ratio: &'static str,
    ) -> Self {
        Self {
            name,
            variables: [
                ("OTEL_SDK_DISABLED", disabled),
                ("OTEL_TRACES_SAMPLER", sampler),
                ("OTEL_TRACES_SAMPLER_ARG", ratio),
            ],
            figures: Figures::default(),
            spans_each_order: Vec::new(),
        }
    }

    async fn run(
        &mut self,
        options: &Options,
        stage: &mut Stage,
        sink: &Sink,
    ) -> anyhow::Result<()> {
        let mut shop = Shop::at(vec![stage.stack.gateway_url()])?;
        let load = Load::Closed(options.clients);
        let processes = stage.processes();
        measure(&mut shop, load, Items::Spread, WARM_UP, PATIENCE, &[]).await?;
        let before = sink.spans();
        let time = options.runs.time();
        let run = measure(&mut shop, load, Items::Spread, time, PATIENCE, &processes).await?;
        self.figures.add(&run);
        self.spans_each_order
            .push(spans_each_order(&run, sink.spans() - before));
        Ok(())
    }
}

/// About: the reads that ask whether all is confirmed are traced too.
fn spans_each_order(run: &Measured, spans: u64) -> f64 {
    spans as f64 / run.answers.placed.len().max(1) as f64
}

fn tell(ways: [Way; 3]) -> Report {
    let columns = [&["tracing"], &COLUMNS[..], &["spans/order"]].concat();
    let mut report = Report::new("The same load, traced and not", &columns);
    let processor = |way: &Way| median(way.figures.of(PROCESSOR));
    if let [Some(off), Some(on), Some(some)] = [&ways[0], &ways[1], &ways[2]].map(processor) {
        report.note(format!(
            "Processor time for an order, against tracing off: {:.2} × with every order traced, \
             {:.2} × with one in ten.",
            on / off,
            some / off
        ));
    }
    for way in ways {
        let name = std::iter::once(Cell::text(way.name));
        let spans = [Cell::Runs(way.spans_each_order)];
        report.row(name.chain(way.figures.cells()).chain(spans).collect());
    }
    report
}
