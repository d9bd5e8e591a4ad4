//! What can be set from outside.

use std::env;
use std::net::IpAddr;

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

    /// How many bytes of traces are held; the longest quiet traces make room for new ones.
    #[arg(long, env = "VIEWER_MEMORY_BYTES", default_value_t = 256 * 1024 * 1024)]
    pub memory_bytes: usize,

    /// Names under which browsers may ask, beside localhost and addresses: separated by commas.
    #[arg(long, env = "VIEWER_ALLOWED_HOSTS", value_delimiter = ',')]
    pub allowed_hosts: Vec<String>,

    /// The log as JSON, one object a line.
    #[arg(long, env = "VIEWER_LOG_JSON")]
    pub log_json: bool,
}

impl Config {
    /// From the command line and the environment, or ends the program with what is wrong with them.
    ///
    /// A variable that is set but empty is as good as missing: compose files and shells make such.
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
