//! One CLIENT span for each statement that goes to PostgreSQL, `BEGIN` and `COMMIT` included.
//!
//! The text on the span is the statement as it is written in the code, with `$1` where a value goes; the
//! values are never recorded. A statement's span starts before it has a connection: waiting for the pool,
//! or failing to get anything from it, is a part of what the statement takes.

use std::borrow::Cow;
use std::future::Future;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use opentelemetry::trace::Status;
use opentelemetry_semantic_conventions::attribute::{
    DB_NAMESPACE, DB_QUERY_SUMMARY, DB_QUERY_TEXT, DB_RESPONSE_STATUS_CODE, DB_SYSTEM_NAME,
    ERROR_TYPE, SERVER_ADDRESS, SERVER_PORT,
};
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::{Connection, Error, Postgres, Transaction};
use tracing::{Instrument, Span};
use tracing_opentelemetry::OpenTelemetrySpanExt;

const BEGIN: Statement<'_> = Statement {
    summary: "BEGIN",
    text: "BEGIN",
};
const COMMIT: Statement<'_> = Statement {
    summary: "COMMIT",
    text: "COMMIT",
};
const ROLLBACK: Statement<'_> = Statement {
    summary: "ROLLBACK",
    text: "ROLLBACK",
};

/// For how long after its last use a connection is taken to be alive.
const TRUSTED: Duration = Duration::from_secs(1);

/// The port that needs no mention.
const DEFAULT_PORT: u16 = 5432;

/// A statement and its name in a trace.
#[derive(Clone, Copy, Debug)]
pub struct Statement<'a> {
    /// Operation and target, such as `INSERT shop.carts`.
    pub summary: &'a str,
    /// The SQL, with placeholders for values.
    pub text: &'a str,
}

/// What a [`Database`] needs to know.
#[derive(Clone)]
pub struct PoolOptions {
    /// Where it is and who connects, as `postgres://user:password@host:port/database`.
    pub url: String,
    /// The schema that the statements are about; only for the spans.
    pub schema: &'static str,
    /// What `pg_stat_activity` shows for these connections.
    pub application_name: &'static str,
    /// How many connections there may be at once.
    pub max_connections: u32,
    /// How long a statement waits for one of them.
    pub acquire_timeout: Duration,
}

/// A pool of connections, and what its spans have in common. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Database {
    pool: PgPool,
    server: Arc<Server>,
}

#[derive(Debug)]
struct Server {
    address: String,
    port: Option<i64>,
    namespace: String,
}

impl Database {
    /// A bounded pool; inside a Tokio runtime. It connects when a connection is needed, not here: a
    /// service starts although its database is still away.
    ///
    /// # Errors
    /// If the URL is malformed.
    pub fn connect(options: &PoolOptions) -> sqlx::Result<Self> {
        let target =
            PgConnectOptions::from_str(&options.url)?.application_name(options.application_name);
        let server = Arc::new(Server::new(&target, options.schema));
        let pool = PgPoolOptions::new()
            .max_connections(options.max_connections)
            .acquire_timeout(options.acquire_timeout)
            // By default each acquire asks the server whether it is still there, one more round trip
            // for every statement. What was in use a moment ago may be trusted.
            .test_before_acquire(false)
            .before_acquire(|connection, last| {
                Box::pin(async move {
                    if last.idle_for > TRUSTED {
                        connection.ping().await?;
                    }
                    Ok(true)
                })
            })
            .connect_lazy_with(target);
        Ok(Self { pool, server })
    }

    /// The pool, as an executor for [`Database::run`], and for what is not to be traced.
    #[must_use]
    pub fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// Takes a connection and opens a transaction on it. Dropping the transaction rolls it back, unseen.
    ///
    /// # Errors
    /// If no connection can be had, or the statement fails.
    pub async fn begin(&self) -> sqlx::Result<Transaction<'static, Postgres>> {
        self.run(&BEGIN, self.pool.begin()).await
    }

    /// Makes the transaction's changes permanent.
    ///
    /// # Errors
    /// If they could not be, or if it is unknown whether they were, because the connection was lost.
    pub async fn commit(&self, transaction: Transaction<'static, Postgres>) -> sqlx::Result<()> {
        self.run(&COMMIT, transaction.commit()).await
    }

    /// Takes the transaction's changes back.
    ///
    /// # Errors
    /// If the connection was lost; the server takes the changes back then, too.
    pub async fn rollback(&self, transaction: Transaction<'static, Postgres>) -> sqlx::Result<()> {
        self.run(&ROLLBACK, transaction.rollback()).await
    }

    /// Runs `query`, which executes `statement`, inside the statement's span.
    ///
    /// # Errors
    /// Those of the query. No row where one was asked for is an error to the caller, not to the span: the
    /// database did what it was told.
    pub async fn run<T>(
        &self,
        statement: &Statement<'_>,
        query: impl Future<Output = sqlx::Result<T>>,
    ) -> sqlx::Result<T> {
        let span = self.server.span(statement);
        let result = query.instrument(span.clone()).await;
        match &result {
            Ok(_) | Err(Error::RowNotFound) => {}
            Err(error) => record_error(&span, error),
        }
        result
    }
}

impl Server {
    fn new(target: &PgConnectOptions, schema: &str) -> Self {
        // Like libpq: without a name the database is the one named after the user.
        let database = target.get_database().unwrap_or(target.get_username());
        let port = Some(target.get_port()).filter(|port| *port != DEFAULT_PORT);
        Self {
            address: target.get_host().to_owned(),
            port: port.map(i64::from),
            namespace: format!("{database}|{schema}"),
        }
    }

    fn span(&self, statement: &Statement<'_>) -> Span {
        tracing::info_span!(
            "sql",
            otel.name = statement.summary,
            otel.kind = "client",
            { DB_SYSTEM_NAME } = "postgresql",
            { DB_NAMESPACE } = self.namespace,
            { DB_QUERY_SUMMARY } = statement.summary,
            { DB_QUERY_TEXT } = statement.text,
            { SERVER_ADDRESS } = self.address,
            { SERVER_PORT } = self.port,
        )
    }
}

fn record_error(span: &Span, error: &Error) {
    if let Some(sqlstate) = sqlstate(error) {
        span.set_attribute(DB_RESPONSE_STATUS_CODE, sqlstate);
    }
    span.set_attribute(ERROR_TYPE, error_type(error).into_owned());
    span.set_status(Status::error(error.to_string()));
}

fn sqlstate(error: &Error) -> Option<String> {
    let code = error.as_database_error()?.code()?;
    Some(code.into_owned())
}

/// What PostgreSQL calls the failure, or where it was if PostgreSQL was not reached.
fn error_type(error: &Error) -> Cow<'_, str> {
    let kind = match error {
        Error::Database(error) => return error.code().unwrap_or("_OTHER".into()),
        Error::PoolTimedOut => "pool_timeout",
        Error::PoolClosed => "pool_closed",
        Error::Io(_) => "io",
        Error::Tls(_) => "tls",
        Error::Protocol(_) => "protocol",
        Error::ColumnNotFound(_)
        | Error::ColumnIndexOutOfBounds { .. }
        | Error::ColumnDecode { .. }
        | Error::Decode(_) => "decode",
        Error::Encode(_) => "encode",
        _ => "_OTHER",
    };
    kind.into()
}
