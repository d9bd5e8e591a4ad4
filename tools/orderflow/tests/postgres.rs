//! The private PostgreSQL server: what it survives, and what it leaves behind.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on ends")]

use std::{fs, net::TcpListener, os::unix::fs::PermissionsExt, path::Path};

use orderflow::{
    artifacts::Artifacts,
    postgres::{Options, Postgres, data_directory},
};
use sqlx::{Connection, PgConnection};
use tempfile::TempDir;

fn directory() -> TempDir {
    tempfile::Builder::new()
        .prefix("orderflow with spaces ")
        .tempdir()
        .unwrap()
}

fn temporary(directory: &Path) -> Options {
    Options {
        directory: directory.join("postgres"),
        port: None,
        durable: false,
        temporary: true,
    }
}

fn kept(directory: &Path) -> Options {
    Options {
        temporary: false,
        durable: true,
        ..temporary(directory)
    }
}

async fn start(options: Options) -> anyhow::Result<Postgres> {
    Postgres::start(&Artifacts::fetch()?, options).await
}

async fn run(url: &str, statement: &'static str) -> sqlx::Result<()> {
    let mut connection = PgConnection::connect(url).await?;
    sqlx::raw_sql(statement).execute(&mut connection).await?;
    connection.close().await
}

#[tokio::test]
async fn a_killed_server_has_what_was_committed() {
    let directory = directory();
    let mut server = start(kept(directory.path())).await.unwrap();
    run(&server.admin_url(), "CREATE TABLE kept (id int)")
        .await
        .unwrap();
    server.kill();
    server.start_again().await.unwrap();
    run(&server.admin_url(), "SELECT count(*) FROM kept")
        .await
        .unwrap();
    assert!(server.stop().await, "ends by itself when asked to");

    // Another start finds data and password where the first one has left them.
    let server = start(kept(directory.path())).await.unwrap();
    run(&server.admin_url(), "SELECT count(*) FROM kept")
        .await
        .unwrap();
    drop(server);
    fs::remove_dir_all(data_directory(&kept(directory.path()).directory)).unwrap();
}

#[tokio::test]
async fn a_taken_port_is_an_error_that_says_so() {
    let taken = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let directory = directory();
    let options = Options {
        port: Some(taken.local_addr().unwrap().port()),
        ..temporary(directory.path())
    };
    let error = start(options).await.unwrap_err();
    assert!(
        error.to_string().contains("Address already in use"),
        "{error:#}"
    );
}

#[tokio::test]
async fn data_that_were_only_begun_are_made_anew() {
    let directory = directory();
    let options = temporary(directory.path());
    let begun = data_directory(&options.directory).join("data.new");
    fs::create_dir_all(&begun).unwrap();
    fs::write(begun.join("PG_VERSION"), "18\n").unwrap();
    start(options).await.unwrap();
}

#[tokio::test]
async fn a_server_that_does_not_let_us_in_says_so() {
    let directory = directory();
    let options = temporary(directory.path());
    let place = data_directory(&options.directory);
    let first = Options {
        temporary: false,
        ..options.clone()
    };
    assert!(start(first).await.unwrap().stop().await);
    fs::remove_file(place.join("postgres.password")).unwrap();

    let error = start(options).await.unwrap_err();
    assert!(
        format!("{error:#}").contains("password authentication failed"),
        "{error:#}"
    );
}

#[tokio::test]
async fn a_temporary_server_leaves_nothing() {
    let directory = directory();
    // Closed to nobody, whom root lets the server run as.
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o700)).unwrap();
    let options = temporary(directory.path());
    let place = data_directory(&options.directory);
    let mut server = start(options).await.unwrap();
    let pid = server.process().pid();
    run(&server.admin_url(), "SELECT 1").await.unwrap();
    assert!(place.join("postgres.log").exists());
    assert_ne!(
        shared_memory_of(pid),
        Some(0),
        "it is seen while it is there"
    );

    drop(server);
    assert!(!place.exists(), "{}", place.display());
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    assert!(matches!(shared_memory_of(pid), Some(0) | None));
}

/// How many segments of shared memory a process has made, where that can be known.
fn shared_memory_of(pid: i32) -> Option<usize> {
    const CREATOR: usize = 4;
    let segments = fs::read_to_string("/proc/sysvipc/shm").ok()?;
    let creators = segments
        .lines()
        .filter_map(|line| line.split_whitespace().nth(CREATOR));
    Some(
        creators
            .filter(|creator| *creator == pid.to_string())
            .count(),
    )
}
