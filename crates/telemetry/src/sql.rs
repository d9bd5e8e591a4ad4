//! Makes one CLIENT span for each statement that goes to PostgreSQL, `BEGIN` and `COMMIT` included.
//!
//! The span has the statement's text with its placeholders (`$1`); the values are never recorded. The span
//! starts before the statement has a connection, so it includes the wait for the pool.

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

/// How long after its last use a connection is used again without a ping.
const TRUSTED: Duration = Duration::from_secs(1);

/// The conventions want `server.port` only if it is not this one.
const DEFAULT_PORT: u16 = 5432;

/// A statement and its name in a trace. A constant, or made at run time:
///
/// ```
/// use telemetry::sql::Statement;
///
/// const COUNT: Statement = Statement {
///     summary: "SELECT shop.carts",
///     text: "SELECT count(*) FROM shop.carts",
/// };
///
/// let text = format!("SELECT count(*) FROM {}.carts", "shop");
/// let count = Statement { text: &text, ..COUNT };
/// assert_eq!(count.text, COUNT.text);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Statement<'a> {
    /// Operation and target, such as `INSERT shop.carts`. It becomes the span's name, so it must not
    /// contain values.
    pub summary: &'a str,
    /// The SQL, with placeholders for values.
    pub text: &'a str,
}

/// How a [`Database`] connects.
#[derive(Clone)]
pub struct PoolOptions {
    /// Server, credentials and database, as `postgres://user:password@host:port/database`.
    pub url: String,
    /// The schema of the tables. It is recorded in the spans, and does not change the `search_path`.
    pub schema: &'static str,
    /// The connections' name in `pg_stat_activity`.
    pub application_name: &'static str,
    /// Maximum number of connections.
    pub max_connections: u32,
    /// How long a statement waits for a free connection before it fails.
    pub acquire_timeout: Duration,
}

/// A pool of connections that traces statements. Cheap to clone; clones share the pool.
#[derive(Clone, Debug)]
pub struct Database {
    pool: PgPool,
    server: Arc<Server>,
}

/// The attributes that all spans of a [`Database`] have.
#[derive(Debug)]
struct Server {
    address: String,
    /// `None`: the default port.
    port: Option<i64>,
    /// `{database}|{schema}`
    namespace: String,
}

impl Database {
    /// Makes a pool, inside a Tokio runtime. The first statement connects, not this function, so that a
    /// service starts although its database is not reachable yet.
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
            // By default sqlx pings the server before each use of a connection, which is one more round
            // trip for each statement. We ping only if the connection was idle for a while.
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

    /// The pool, as an executor for the queries given to [`Database::run`], and for untraced ones.
    #[must_use]
    pub fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// Opens a transaction. Dropping the transaction rolls it back, without a span.
    ///
    /// # Errors
    /// If no connection becomes free in time, or the statement fails.
    pub async fn begin(&self) -> sqlx::Result<Transaction<'static, Postgres>> {
        self.run(&BEGIN, self.pool.begin()).await
    }

    /// Commits the transaction.
    ///
    /// # Errors
    /// If the commit fails. If the connection was lost, the transaction may have been committed or not.
    pub async fn commit(&self, transaction: Transaction<'static, Postgres>) -> sqlx::Result<()> {
        self.run(&COMMIT, transaction.commit()).await
    }

    /// Rolls the transaction back.
    ///
    /// # Errors
    /// If the connection was lost; then the server rolls back by itself.
    pub async fn rollback(&self, transaction: Transaction<'static, Postgres>) -> sqlx::Result<()> {
        self.run(&ROLLBACK, transaction.rollback()).await
    }

    /// Runs `query`, which executes `statement`, inside the statement's span.
    ///
    /// # Errors
    /// Those of the query. [`Error::RowNotFound`] does not make the span a failed one, because the
    /// statement itself succeeded.
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
        // Like libpq: without a name, the database is named like the user.
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

/// The SQLSTATE, or for a failure outside of PostgreSQL the place where it happened.
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
