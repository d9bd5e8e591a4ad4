//! What the system does in a second, and what an order costs.
//!
//! | To measure | look at |
//! |---|---|
//! | orders: how many, how fast, and until they are confirmed | `orders.rs` |
//! | what tracing costs | `overhead.rs` |
//! | what the spans around Kafka cost | `messaging.rs` |
//! | what this machine could do at most | `limit.rs` |
//! | this system beside another one | `compare.rs` |
//!
//! Everything runs on one machine, the load included, so what is measured is the machine as much as the
//! program: figures from two machines, or from a busy one, say nothing when they are compared. What is
//! to be compared is measured in turns and in short runs, so that noise hits all alike, and told as a
//! median with the lowest and the highest beside it.

mod compare;
mod disk;
mod limit;
mod load;
mod measure;
mod messaging;
mod orders;
mod overhead;
mod report;
mod resources;
mod shop;
mod sink;
mod stage;
mod traces;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::report::Report;

/// The services' allocator, so that a message costs here what it costs there.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Measures what the system does in a second, and what an order costs.
#[derive(Debug, Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    what: What,
    /// Print JSON, with the figure of each single run.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Orders placed and confirmed, by more and more clients.
    Orders(orders::Options),
    /// The same load with tracing off, on, and for one order in ten.
    Overhead(overhead::Options),
    /// The producer and the consumer beside librdkafka's own.
    Messaging(messaging::Options),
    /// What PostgreSQL, the disk and the broker do by themselves.
    Limit(limit::Options),
    /// Systems that run already, side by side.
    Compare(compare::Options),
}

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    let measured = match cli.what {
        What::Orders(options) => orders::run(options).await,
        What::Overhead(options) => overhead::run(options).await,
        What::Messaging(options) => messaging::run(options).await,
        What::Limit(options) => limit::run(options).await,
        What::Compare(options) => compare::run(options).await,
    };
    match measured.and_then(|report: Report| report.print(cli.json)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
