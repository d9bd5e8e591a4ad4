//! The command line and the environment.

use std::env;
use std::net::IpAddr;
use std::path::PathBuf;

use clap::builder::Resettable;
use clap::{CommandFactory, FromArgMatches, Parser};

/// Where the viewer listens, and how much it holds.
#[derive(Debug, Clone, Parser)]
#[command(version, about)]
pub struct Config {
    /// The address of all three ports.
    #[arg(long, env = "HOST", default_value = "127.0.0.1")]
    pub host: IpAddr,

    /// The page, and Jaeger's query API.
    #[arg(long, env = "VIEWER_PORT", default_value_t = 16686)]
    pub port: u16,

    /// OTLP over gRPC.
    #[arg(long, env = "OTLP_GRPC_PORT", default_value_t = 4317)]
    pub otlp_grpc_port: u16,

    /// OTLP over HTTP.
    #[arg(long, env = "OTLP_HTTP_PORT", default_value_t = 4318)]
    pub otlp_http_port: u16,

    /// The memory for traces and for answers about them, in bytes. Traces that were quiet for longest make
    /// room for new ones.
    #[arg(long, env = "VIEWER_MEMORY_BYTES", default_value_t = 256 * 1024 * 1024)]
    pub memory_bytes: usize,

    /// Host names under which the viewer may be asked, beside localhost and addresses: separated by commas.
    #[arg(long, env = "VIEWER_ALLOWED_HOSTS", value_delimiter = ',')]
    pub allowed_hosts: Vec<String>,

    /// A JSON file that tells what the traces are about: the name of the system, the attribute with the id of
    /// an order, the spans that decide what became of it.
    #[arg(long, env = "VIEWER_SETTINGS")]
    pub settings: Option<PathBuf>,

    /// Writes the log as JSON, one object a line.
    #[arg(long, env = "VIEWER_LOG_JSON")]
    pub log_json: bool,
}

impl Config {
    /// Reads the command line and the environment; ends the program with a message when they are wrong.
    ///
    /// A variable that is set but empty counts as missing: compose files and shells make such variables.
    #[must_use]
    pub fn read() -> Self {
        let command = Self::command().mut_args(|argument| {
            let value = argument.get_env().and_then(env::var_os);
            let is_empty = value.is_some_and(|value| value.is_empty());
            if is_empty {
                argument.env(Resettable::Reset)
            } else {
                argument
            }
        });
        Self::from_arg_matches(&command.get_matches()).unwrap_or_else(|error| error.exit())
    }
}
