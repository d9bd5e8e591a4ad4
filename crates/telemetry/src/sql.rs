//! Makes one CLIENT span for each statement that goes to PostgreSQL, `BEGIN` and `COMMIT` included.
//!
//! The span has the statement's text with its placeholders (`$1`); the values are never recorded. The span
//! starts before the statement has a connection, so it includes the wait for the pool.

mod connection;

use std::borrow::Cow;
use std::future::Future;
use std::io;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use opentelemetry::trace::Status;
use opentelemetry_semantic_conventions::attribute::{
    DB_NAMESPACE, DB_QUERY_SUMMARY, DB_QUERY_TEXT, DB_RESPONSE_STATUS_CODE, DB_SYSTEM_NAME,
    ERROR_TYPE, SERVER_ADDRESS, SERVER_PORT,
};
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::{Connection, Error};
use tokio::time::timeout;
use tracing::{Instrument, Span};
use tracing_opentelemetry::OpenTelemetrySpanExt;

pub use connection::{PooledConnection, Transaction};

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

/// How long [`Database::ping`] waits.
const PING_TIMEOUT: Duration = Duration::from_secs(1);

/// PostgreSQL's default port, which spans do not mention.
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
    /// How long a statement may take, the wait for its connection included.
    pub statement_timeout: Duration,
}

/// A pool of connections that traces statements. Cheap to clone; clones share the pool.
#[derive(Clone, Debug)]
pub struct Database {
    pool: PgPool,
    /// One connection of its own for [`Database::ping`]: the pool may be used up by requests.
    health: PgPool,
    server: Arc<Server>,
    statement_timeout: Duration,
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
        let timeout = options.statement_timeout.as_millis().to_string();
        let target = PgConnectOptions::from_str(&options.url)?
            .application_name(options.application_name)
            // A connection that we close does not stop its statement in the server. These two do, and free its locks.
            .options([
                ("statement_timeout", &timeout),
                ("idle_in_transaction_session_timeout", &timeout),
            ]);
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
            .connect_lazy_with(target.clone());
        let health = PgPoolOptions::new()
            .max_connections(1)
            .acquire_timeout(PING_TIMEOUT)
            .connect_lazy_with(target);
        Ok(Self {
            pool,
            health,
            server,
            statement_timeout: options.statement_timeout,
        })
    }

    /// The pool, as an executor for the queries given to [`Database::run`], and for untraced ones.
    #[must_use]
    pub fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// Takes a connection from the pool; to be called inside the future of [`Database::run`], whose span and timeout
    /// then include the wait.
    ///
    /// # Errors
    /// If there is none within [`PoolOptions::acquire_timeout`].
    pub async fn acquire(&self) -> sqlx::Result<PooledConnection> {
        self.pool.acquire().await.map(PooledConnection::new)
    }

    /// Asks the server whether it answers, within one second, on a connection that no request uses. Makes no span.
    ///
    /// # Errors
    /// It does not answer, or not in time.
    pub async fn ping(&self) -> sqlx::Result<()> {
        let ask = async {
            let mut connection = PooledConnection::new(self.health.acquire().await?);
            sqlx::raw_sql("SELECT 1").execute(&mut *connection).await?;
            Ok(())
        };
        limited(PING_TIMEOUT, ask).await
    }

    /// Takes a connection and opens a transaction on it. Dropping the transaction rolls it back, unseen.
    ///
    /// # Errors
    /// If no connection can be had, or the statement fails.
    pub async fn begin(&self) -> sqlx::Result<Transaction> {
        let begin = async {
            let mut connection = self.acquire().await?;
            // From here on: a BEGIN whose answer is lost may have taken effect.
            connection.in_transaction = true;
            sqlx::raw_sql(BEGIN.text).execute(&mut *connection).await?;
            Ok(Transaction(connection))
        };
        self.run(&BEGIN, begin).await
    }

    /// Commits the transaction.
    ///
    /// # Errors
    /// If PostgreSQL refuses, or if its answer is lost: see [`is_commit_unknown`].
    pub async fn commit(&self, transaction: Transaction) -> sqlx::Result<()> {
        let mut connection = transaction.0;
        let commit = sqlx::raw_sql(COMMIT.text).execute(&mut *connection);
        match self.run(&COMMIT, commit).await {
            Ok(_) => {
                connection.in_transaction = false;
                Ok(())
            }
            // PostgreSQL has answered.
            Err(error @ Error::Database(_)) => Err(error),
            Err(error) => Err(Error::Io(io::Error::other(CommitUnknown(error)))),
        }
    }

    /// Rolls the transaction back.
    ///
    /// # Errors
    /// If the connection was lost; the server takes the changes back then, too.
    pub async fn rollback(&self, transaction: Transaction) -> sqlx::Result<()> {
        let mut connection = transaction.0;
        let rollback = sqlx::raw_sql(ROLLBACK.text).execute(&mut *connection);
        self.run(&ROLLBACK, rollback).await?;
        connection.in_transaction = false;
        Ok(())
    }

    /// The same as [`Database::run`], without a span.
    ///
    /// # Errors
    /// As with [`Database::run`].
    pub async fn run_untraced<T>(
        &self,
        query: impl Future<Output = sqlx::Result<T>>,
    ) -> sqlx::Result<T> {
        limited(self.statement_timeout, query).await
    }

    /// Runs `query`, which executes `statement`, inside the statement's span and within
    /// [`PoolOptions::statement_timeout`].
    ///
    /// The timeout is ours, since a server that is frozen or cut off does not run its own. After it the future is
    /// dropped, and with it (or with its transaction) the connection, which is then closed: see [`PooledConnection`].
    ///
    /// # Errors
    /// Those of the query; [`Error::Io`] of the kind `TimedOut` after the timeout. No row where one was asked for is an
    /// error to the caller, not to the span: the database did what it was told.
    pub async fn run<T>(
        &self,
        statement: &Statement<'_>,
        query: impl Future<Output = sqlx::Result<T>>,
    ) -> sqlx::Result<T> {
        let span = self.server.span(statement);
        let query = self.run_untraced(query);
        let result = query.instrument(span.clone()).await;
        match &result {
            Ok(_) | Err(Error::RowNotFound) => {}
            Err(error) => record_error(&span, error),
        }
        result
    }
}

/// Whether it is unknown if a COMMIT took effect: its answer was lost, or did not come in time.
///
/// Not a failure: the changes may be there. To repeat the request is safe only if it is idempotent.
#[must_use]
pub fn is_commit_unknown(error: &Error) -> bool {
    let Error::Io(error) = error else {
        return false;
    };
    error
        .get_ref()
        .is_some_and(|inner| inner.is::<CommitUnknown>())
}

#[derive(Debug, thiserror::Error)]
#[error("it is unknown whether COMMIT took effect: {0}")]
struct CommitUnknown(#[source] Error);

async fn limited<T>(
    limit: Duration,
    query: impl Future<Output = sqlx::Result<T>>,
) -> sqlx::Result<T> {
    timeout(limit, query).await.unwrap_or_else(|_| {
        let message = format!("no answer within {limit:?}");
        Err(io::Error::new(io::ErrorKind::TimedOut, message).into())
    })
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
        Error::Io(error) if error.kind() == io::ErrorKind::TimedOut => "timeout",
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
