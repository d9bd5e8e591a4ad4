//! Systems that run already and speak the same HTTP API, under the same load, in turns.
//!
//! What they are is not known here, so all is seen through their gateways; only processor time and memory
//! are those of the processes that are named. A system that confirms slowly takes its backlog along
//! from run to run: how many it confirms each second is counted within each run, so that this does it
//! no wrong.

use std::{num::NonZeroU32, time::Duration};

use anyhow::ensure;
use clap::Args;

use crate::{
    load::Load,
    measure::{COLUMNS, Figures, Runs, at_least_one, measure},
    report::{Cell, Report},
    shop::{Items, Shop},
};

/// Which systems, and how orders come.
#[derive(Debug, Clone, Args)]
pub(crate) struct Options {
    /// Where a system takes orders; once for each system.
    #[arg(long = "gateway", required = true)]
    gateways: Vec<String>,
    /// What to call them, in the same order; their addresses otherwise.
    #[arg(long = "name")]
    names: Vec<String>,
    /// The processes of each, separated by commas, in the same order.
    #[arg(long = "pids")]
    pids: Vec<String>,
    /// How many clients there are, each with one order at a time.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 16, 64].map(at_least_one))]
    clients: Vec<NonZeroU32>,
    /// For how many seconds after each run confirmations are waited for.
    #[arg(long, default_value_t = 3)]
    patience: u64,
    #[command(flatten)]
    runs: Runs,
}

struct System {
    name: String,
    shop: Shop,
    processes: Vec<u32>,
    /// For each number of clients.
    figures: Vec<Figures>,
}

pub(crate) async fn run(options: Options) -> anyhow::Result<Report> {
    let mut systems = options.systems()?;
    let patience = Duration::from_secs(options.patience);
    for _ in 0..options.runs.rounds() {
        for (index, clients) in options.clients.iter().enumerate() {
            for system in &mut systems {
                let load = Load::Closed(*clients);
                let System {
                    shop,
                    processes,
                    figures,
                    ..
                } = system;
                let time = options.runs.time();
                let run = measure(shop, load, Items::Spread, time, patience, processes).await?;
                figures[index].add(&run);
            }
        }
    }
    let columns = [&["system", "load"], &COLUMNS[..]].concat();
    let mut report = Report::new("The same load in turns", &columns);
    for system in systems {
        for (clients, figures) in options.clients.iter().zip(system.figures) {
            let load = Load::Closed(*clients).to_string();
            let names = [Cell::text(&system.name), Cell::text(load)];
            report.row(names.into_iter().chain(figures.cells()).collect());
        }
    }
    Ok(report)
}

impl Options {
    fn systems(&self) -> anyhow::Result<Vec<System>> {
        for (what, given) in [("--name", &self.names), ("--pids", &self.pids)] {
            let fits = given.is_empty() || given.len() == self.gateways.len();
            ensure!(fits, "{what} is needed for each --gateway, or for none");
        }
        let system = |(index, gateway): (usize, &String)| {
            Ok(System {
                name: self.names.get(index).unwrap_or(gateway).clone(),
                shop: Shop::at(vec![gateway.trim_end_matches('/').to_owned()])?,
                processes: processes(self.pids.get(index).map_or("", String::as_str))?,
                figures: self.clients.iter().map(|_| Figures::default()).collect(),
            })
        };
        self.gateways.iter().enumerate().map(system).collect()
    }
}

fn processes(list: &str) -> anyhow::Result<Vec<u32>> {
    let ids = list.split(',').filter(|id| !id.is_empty());
    Ok(ids.map(str::parse).collect::<Result<_, _>>()?)
}
