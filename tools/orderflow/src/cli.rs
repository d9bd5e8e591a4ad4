//! `orderflow up | down | status | logs | trace | dlq | chaos`.
//!
//! `up` starts a supervisor in the background and follows it until all is ready. The supervisor is
//! the parent of everything else; what it knows stands in a file, which is all that the other
//! commands read. They find out whether it lives by the lock that it holds.

mod chaos;
mod dlq;
mod down;
mod elsewhere;
mod faults;
mod follow;
mod home;
mod identity;
mod journal;
mod logs;
mod screen;
mod status;
mod supervisor;
mod trace;
mod up;
mod watch;

use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};
use home::Home;
use reqwest::Url;
use serde::{Deserialize, Serialize};

/// PostgreSQL, Kafka, the five services and a viewer for their traces, on this machine and without
/// Docker.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start everything; returns when all is ready
    Up {
        #[arg(long, value_enum, default_value_t)]
        broker: BrokerKind,
    },
    /// Stop everything; the data stays
    Down {
        /// Remove the data and the logs as well
        #[arg(long)]
        volumes: bool,
    },
    /// Show what runs where, and whether it is ready
    Status {
        /// As JSON
        #[arg(long)]
        json: bool,
        /// Ask these, and not what `up` has started; separated by commas
        #[arg(
            long,
            env = "ORDERFLOW_PARTS",
            value_name = "NAME=URL",
            value_delimiter = ','
        )]
        parts: Vec<elsewhere::Part>,
    },
    /// Show the end of the logs, or more of one
    Logs {
        /// Such as worker, kafka, postgresql, viewer, supervisor
        part: Option<String>,
    },
    /// Print an order's trace as a tree
    Trace {
        /// The order's id, as the gateway answered it
        order_id: String,
        /// The viewer to ask, ours or a Jaeger
        #[arg(long, env = "VIEWER_URL", default_value = "http://127.0.0.1:16686")]
        viewer_url: Url,
    },
    /// Look at messages that could not be handled, and send them again
    Dlq(dlq::Arguments),
    /// Let something go wrong, on purpose, and see what becomes of an order
    Chaos {
        #[arg(value_enum)]
        story: chaos::Story,
    },
    /// What runs in the background; `up` starts it
    #[command(hide = true)]
    Supervise {
        #[arg(long, value_enum, default_value_t)]
        broker: BrokerKind,
    },
}

/// Where events go.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum BrokerKind {
    /// Apache Kafka
    #[default]
    Kafka,
    /// librdkafka's imitation: starts at once, forgets everything at its end, drops what is oldest
    Memory,
}

/// Does what the command line asks for.
pub(crate) async fn run() -> ExitCode {
    match obey(Arguments::parse().command).await {
        Ok(code) => code,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn obey(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        // These work from anywhere, and with a system that runs anywhere.
        Command::Trace {
            order_id,
            viewer_url,
        } => trace::run(&viewer_url, &order_id).await?,
        Command::Dlq(arguments) => dlq::run(arguments).await?,
        Command::Status { json, parts } if !parts.is_empty() => {
            return elsewhere::run(&parts, json).await;
        }
        Command::Up { broker } => up::run(&Home::find()?, broker).await?,
        Command::Down { volumes } => down::run(&Home::find()?, volumes).await?,
        Command::Status { json, .. } => return status::run(&Home::find()?, json).await,
        Command::Logs { part } => logs::run(&Home::find()?, part.as_deref())?,
        Command::Chaos { story } => chaos::run(Home::find()?, story).await?,
        Command::Supervise { broker } => supervisor::run(Home::find()?, broker).await?,
    }
    Ok(ExitCode::SUCCESS)
}
