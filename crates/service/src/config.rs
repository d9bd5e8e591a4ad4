//! Configuration: from flags and variables into typed fields, all at once and before anything runs.
//!
//! A variable that is set but empty is as good as missing: that is what compose files and shells
//! make of one that nobody filled in. Missing ones are named together, so that nobody has to find
//! them one by one; a malformed one is named by itself, and not quoted, since it may hold a password.
//! Either way nothing has been started yet.

use std::{env, ffi::OsString, str::FromStr, time::Duration};

use anyhow::Context;
use clap::{
    Args, Command, Parser,
    builder::Resettable,
    error::{ContextKind, ContextValue},
    value_parser,
};
use sqlx::postgres::PgConnectOptions;
use telemetry::sql::{Database, PoolOptions};
use tokio::net::TcpListener;

/// How long a statement waits for a connection of the pool.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(2);

/// How long a statement may take. Shorter than the 5 seconds for which the gateway and the worker wait for an answer,
/// so that they get a 503 instead of none.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(4);

/// Where a service listens.
#[derive(Debug, Clone, Args)]
pub struct Listen {
    /// The address to listen on.
    #[arg(long, env = "HOST", default_value = "127.0.0.1")]
    pub host: String,
    /// The port to listen on; 0 for any that is free.
    #[arg(long, env = "PORT")]
    pub port: u16,
}

impl Listen {
    /// Takes the port.
    ///
    /// # Errors
    /// Somebody else has it, or it may not be had.
    pub async fn bind(&self) -> anyhow::Result<TcpListener> {
        let address = (self.host.as_str(), self.port);
        let listener = TcpListener::bind(address).await;
        let listener =
            listener.with_context(|| format!("cannot listen on {}:{}", self.host, self.port))?;
        tracing::info!(address = %listener.local_addr()?, "listening");
        Ok(listener)
    }
}

/// Where the database is.
#[derive(Clone, Args)]
pub struct PostgresArgs {
    /// Database and who connects to it, `postgres://user:password@host:port/database`.
    #[arg(long, env = "POSTGRES_URL", hide_env_values = true, value_parser = parse_postgres_url)]
    pub postgres_url: String,
    /// How many connections to the database there may be at once.
    #[arg(
        long,
        env = "POSTGRES_MAX_CONNECTIONS",
        default_value_t = 16,
        value_parser = value_parser!(u32).range(1..=1_000)
    )]
    pub postgres_max_connections: u32,
}

impl PostgresArgs {
    /// A pool for the service that owns `schema`. Nothing is connected yet.
    ///
    /// # Errors
    /// The URL is malformed.
    pub fn connect(&self, schema: &'static str) -> anyhow::Result<Database> {
        let options = PoolOptions {
            url: self.postgres_url.clone(),
            schema,
            application_name: schema,
            max_connections: self.postgres_max_connections,
            acquire_timeout: ACQUIRE_TIMEOUT,
            statement_timeout: STATEMENT_TIMEOUT,
        };
        // The URL is not shown: it has a password in it.
        Database::connect(&options).context("POSTGRES_URL is no PostgreSQL address")
    }
}

impl std::fmt::Debug for PostgresArgs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PostgresArgs").finish_non_exhaustive()
    }
}

/// The program's configuration, or what to say of what is wrong with it.
pub(crate) fn parse<C: Parser>() -> Result<C, clap::Error> {
    let mut command = without_empty(C::command(), |name| env::var_os(name));
    let mut matches = command
        .try_get_matches_from_mut(env::args_os())
        .map_err(without_value)?;
    C::from_arg_matches_mut(&mut matches).map_err(|error| error.format(&mut command))
}

/// Makes the command forget variables that are empty.
fn without_empty(command: Command, variable: impl Fn(&str) -> Option<OsString>) -> Command {
    command.mut_args(|argument| {
        let name = argument.get_env().and_then(|name| name.to_str());
        let value = name.and_then(&variable);
        if value.is_some_and(|value| value.is_empty()) {
            argument.env(Resettable::Reset)
        } else {
            argument
        }
    })
}

/// clap quotes the value that it refuses. That may be an address with a password in it.
fn without_value(mut error: clap::Error) -> clap::Error {
    let hidden = ContextValue::String("(not shown)".to_owned());
    match error.get(ContextKind::InvalidValue) {
        Some(ContextValue::String(value)) if !value.is_empty() => {
            error.insert(ContextKind::InvalidValue, hidden);
        }
        _ => {}
    }
    error
}

/// The URL as it came, if it can be used.
fn parse_postgres_url(text: &str) -> Result<String, &'static str> {
    let scheme = text.split("://").next();
    let is_postgres = matches!(scheme, Some("postgres" | "postgresql"));
    if is_postgres && PgConnectOptions::from_str(text).is_ok() {
        Ok(text.to_owned())
    } else {
        Err("must look like postgres://user:password@host:port/database")
    }
}
