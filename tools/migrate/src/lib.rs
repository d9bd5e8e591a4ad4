//! Brings the database schemas up and down.
//!
//! The SQL in `migrations/` is built into the program. A migration runs in a transaction, once; which
//! ones have run is kept in the database, so that `up` again changes nothing. Migrations say what the
//! roles of the services may do; their passwords come from outside and are set each time.

use anyhow::{Context, ensure};
use sqlx::{Connection, PgConnection, migrate::Migrator};

static MIGRATIONS: Migrator = sqlx::migrate!("../../migrations");

/// The roles that services connect as; each may use the schema of its own name.
pub const ROLES: [&str; 3] = ["orders", "inventory", "email"];

/// Whatever makes a server write statements into its log, off for this connection: those that follow
/// have passwords in them.
const KEEP_QUIET: &str = "SET log_statement = none; SET log_min_error_statement = panic; \
     SET log_min_duration_statement = -1; SET log_min_duration_sample = -1; \
     SET log_transaction_sample_rate = 0";
/// Sets a role's password. A statement like this takes no parameters, so the server itself puts the
/// values in, quoted by its own rules.
const ALTER_ROLE: &str = "SELECT format('ALTER ROLE %I PASSWORD %L', $1::text, $2::text)";
/// More than will ever set one password at the same time.
const TRIES: usize = 100;

/// A role that a service connects as, and its password.
#[derive(Clone)]
pub struct Role {
    /// One of [`ROLES`].
    pub name: &'static str,
    /// Its password from now on.
    pub password: String,
}

impl std::fmt::Debug for Role {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Role")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// Runs the migrations that have not run, then sets the passwords.
///
/// # Errors
/// A password is empty, the database cannot be reached, a migration fails (it changed nothing then),
/// or one that has run is another one than ours.
pub async fn up(url: &str, roles: &[Role]) -> anyhow::Result<()> {
    for role in roles {
        // The server would take it, and let nobody in.
        ensure!(
            !role.password.is_empty(),
            "the password of {} is empty",
            role.name
        );
    }
    let mut database = connect(url).await?;
    MIGRATIONS
        .run(&mut database)
        .await
        .context("a migration failed")?;
    set_passwords(&mut database, roles).await?;
    database
        .close()
        .await
        .context("the connection broke at the end")
}

/// Takes back the migrations after this one, the newest first; all of them for 0, only the newest
/// for none.
///
/// # Errors
/// The database cannot be reached, or a migration cannot be taken back.
pub async fn down(url: &str, to: Option<i64>) -> anyhow::Result<()> {
    let target = match to {
        Some(target) => target,
        None => before(version(url).await?),
    };
    let mut database = connect(url).await?;
    MIGRATIONS
        .undo(&mut database, target)
        .await
        .context("a migration could not be taken back")?;
    database
        .close()
        .await
        .context("the connection broke at the end")
}

/// The number of the last migration that has run; none if none has.
///
/// # Errors
/// The database cannot be reached.
pub async fn version(url: &str) -> anyhow::Result<Option<i64>> {
    let mut database = connect(url).await?;
    let exists = "SELECT to_regclass('_sqlx_migrations') IS NOT NULL";
    if !sqlx::query_scalar::<_, bool>(exists)
        .fetch_one(&mut database)
        .await?
    {
        return Ok(None);
    }
    let newest = "SELECT max(version) FROM _sqlx_migrations WHERE success";
    Ok(sqlx::query_scalar(newest).fetch_one(&mut database).await?)
}

async fn connect(url: &str) -> anyhow::Result<PgConnection> {
    // The address is not shown: it has a password in it.
    PgConnection::connect(url)
        .await
        .context("the database cannot be reached")
}

/// The migration before this one; 0 if there is none.
fn before(version: Option<i64>) -> i64 {
    let earlier = MIGRATIONS.iter().map(|migration| migration.version);
    let earlier = earlier.filter(|earlier| Some(*earlier) < version);
    earlier.max().unwrap_or(0)
}

async fn set_passwords(database: &mut PgConnection, roles: &[Role]) -> anyhow::Result<()> {
    if roles.is_empty() {
        return Ok(());
    }
    sqlx::raw_sql(KEEP_QUIET)
        .execute(&mut *database)
        .await
        .context("the passwords cannot be kept out of the server's log")?;
    for role in roles {
        set_password(database, role)
            .await
            .with_context(|| format!("the password of {} could not be set", role.name))?;
    }
    Ok(())
}

/// Roles belong to the whole server: somebody may be setting the same password from another database
/// of it. Whoever comes second waits for the first, and then fails; so it is tried again.
async fn set_password(database: &mut PgConnection, role: &Role) -> sqlx::Result<()> {
    let statement: String = sqlx::query_scalar(ALTER_ROLE)
        .bind(role.name)
        .bind(&role.password)
        .fetch_one(&mut *database)
        .await?;
    let mut tries = 1;
    loop {
        // Quoted by the server, see above.
        let altered = sqlx::raw_sql(sqlx::AssertSqlSafe(statement.clone()))
            .execute(&mut *database)
            .await;
        match altered {
            Err(error) if is_conflict(&error) && tries < TRIES => tries += 1,
            altered => return altered.map(|_| ()),
        }
    }
}

/// PostgreSQL has no code of its own for this error.
fn is_conflict(error: &sqlx::Error) -> bool {
    error
        .as_database_error()
        .is_some_and(|error| error.message() == "tuple concurrently updated")
}
