//! A database of its own for each test, on a server that the tests of one program share.
//!
//! The server starts with the first test that asks and ends with the program. Each test gets a copy
//! of a migrated template, which takes a few milliseconds.

mod program;
mod proxy;

use std::{
    env,
    net::SocketAddr,
    sync::atomic::{AtomicUsize, Ordering},
};

use anyhow::Context;
use sqlx::{Connection, PgConnection};
use tokio::sync::OnceCell;
use uuid::Uuid;

use crate::{
    artifacts::Artifacts,
    postgres::{ADMIN, Options, Postgres},
};

pub use program::Program;
pub use proxy::Proxy;

const TEMPLATE: &str = "template";

static SERVER: OnceCell<Postgres> = OnceCell::const_new();
static DATABASES: AtomicUsize = AtomicUsize::new(0);

/// A migrated database that nobody else uses.
#[derive(Debug, Clone)]
pub struct TestDatabase {
    name: String,
}

/// Makes a new database.
///
/// # Panics
/// No server can be had: the test can't go on.
#[expect(clippy::expect_used, reason = "for tests, which end like this")]
pub async fn database() -> TestDatabase {
    let server = SERVER
        .get_or_try_init(start)
        .await
        .expect("a PostgreSQL server");
    let name = format!("test_{}", DATABASES.fetch_add(1, Ordering::Relaxed));
    create(server, &name, TEMPLATE)
        .await
        .expect("a database of its own");
    TestDatabase { name }
}

impl TestDatabase {
    /// Its address, for the role of a service.
    ///
    /// # Panics
    /// Never: who has a database has a server.
    #[must_use]
    #[expect(clippy::expect_used, reason = "who has a database has a server")]
    pub fn url(&self, role: &str) -> String {
        SERVER.get().expect("a server").url(role, &self.name)
    }

    /// The socket of its server, for a [`Proxy`].
    ///
    /// # Panics
    /// Never: who has a database has a server.
    #[must_use]
    #[expect(clippy::expect_used, reason = "who has a database has a server")]
    pub fn socket(&self) -> SocketAddr {
        ([127, 0, 0, 1], SERVER.get().expect("a server").port()).into()
    }

    /// Its address for the role of a service, by way of a proxy.
    #[must_use]
    pub fn url_through(&self, proxy: &Proxy, role: &str) -> String {
        let (server, proxy) = (self.socket().to_string(), proxy.address().to_string());
        self.url(role).replace(&server, &proxy)
    }

    /// Its address, for the role that may do everything.
    #[must_use]
    pub fn admin_url(&self) -> String {
        self.url(ADMIN)
    }
}

async fn start() -> anyhow::Result<Postgres> {
    let artifacts = tokio::task::spawn_blocking(Artifacts::fetch).await??;
    let directory = env::temp_dir().join(format!("orderflow-test-{}", Uuid::new_v4()));
    let options = Options {
        directory,
        port: None,
        durable: false,
        temporary: true,
    };
    let server = Postgres::start(&artifacts, options).await?;
    create(&server, TEMPLATE, "template0").await?;
    migrate::up(&server.url(ADMIN, TEMPLATE), &server.roles()).await?;
    Ok(server)
}

async fn create(server: &Postgres, name: &str, template: &str) -> anyhow::Result<()> {
    let mut admin = PgConnection::connect(&server.admin_url()).await?;
    // The names are ours; a name cannot be a parameter.
    let statement = format!("CREATE DATABASE {name} TEMPLATE {template}");
    let created = sqlx::raw_sql(sqlx::AssertSqlSafe(statement))
        .execute(&mut admin)
        .await;
    created.with_context(|| format!("the database {name} could not be made"))?;
    admin.close().await?;
    Ok(())
}
