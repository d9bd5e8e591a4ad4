//! Brings the database schemas up and down.
//!
//! The SQL in `migrations/` is built into the program. A migration runs in a transaction, once; which
//! ones have run is kept in the database, so that `up` again changes nothing. Migrations say what the
//! roles of the services may do; their passwords come from outside and are set each time.

use anyhow::Context;
use sqlx::{Connection, PgConnection, migrate::Migrator};

static MIGRATIONS: Migrator = sqlx::migrate!("../../migrations");

/// Sets a role's password. A statement like this takes no parameters, so the server itself puts the
/// values in, quoted by its own rules.
const ALTER_ROLE: &str = "SELECT format('ALTER ROLE %I PASSWORD %L', $1::text, $2::text)";

/// A role that a service connects as, and its password.
#[derive(Clone)]
pub struct Role {
    /// The role, and the schema that it may use: `orders`, `inventory` or `email`.
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
/// The database cannot be reached, a migration fails (it changed nothing then), or one that has run
/// is another one than ours.
pub async fn up(url: &str, roles: &[Role]) -> anyhow::Result<()> {
    let mut database = connect(url).await?;
    MIGRATIONS
        .run(&mut database)
        .await
        .context("a migration failed")?;
    for role in roles {
        set_password(&mut database, role).await?;
    }
    database
        .close()
        .await
        .context("the connection broke at the end")
}

/// Takes back the migrations above `target`, the newest first; all of them for 0.
///
/// # Errors
/// The database cannot be reached, or a migration cannot be taken back.
pub async fn down(url: &str, target: i64) -> anyhow::Result<()> {
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

async fn set_password(database: &mut PgConnection, role: &Role) -> anyhow::Result<()> {
    let statement: String = sqlx::query_scalar(ALTER_ROLE)
        .bind(role.name)
        .bind(&role.password)
        .fetch_one(&mut *database)
        .await?;
    // Quoted by the server, see above.
    sqlx::raw_sql(sqlx::AssertSqlSafe(statement))
        .execute(database)
        .await
        .with_context(|| format!("the password of {} could not be set", role.name))?;
    Ok(())
}
