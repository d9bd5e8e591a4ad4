//! The private PostgreSQL server, and the migrations on it.

use orderflow::{
    artifacts::Artifacts,
    postgres::{Options, Postgres},
    testing,
};
use sqlx::{Connection, PgConnection};

async fn run(url: &str, statement: &'static str) -> sqlx::Result<()> {
    let mut connection = PgConnection::connect(url).await?;
    sqlx::raw_sql(statement).execute(&mut connection).await?;
    connection.close().await
}

#[tokio::test]
async fn each_role_may_use_its_own_schema_only() {
    let database = testing::database().await;
    let counts = [
        ("orders", "SELECT count(*) FROM orders.orders"),
        ("inventory", "SELECT count(*) FROM inventory.items"),
        ("email", "SELECT count(*) FROM email.mails"),
    ];
    for (role, _) in counts {
        for (owner, count) in counts {
            let result = run(&database.url(role), count).await;
            assert_eq!(
                result.is_ok(),
                role == owner,
                "{role} reads {owner}: {result:?}"
            );
        }
        let created = run(&database.url(role), "CREATE TABLE public.mine (id int)").await;
        assert!(created.is_err(), "{role} makes tables");
    }
}

#[tokio::test]
async fn migrations_go_up_and_down_and_up_again() {
    let database = testing::database().await;
    let url = database.admin_url();
    let newest = migrate::version(&url).await.unwrap();
    assert!(newest.is_some());
    migrate::down(&url, 1).await.unwrap();
    assert_eq!(migrate::version(&url).await.unwrap(), Some(1));
    migrate::down(&url, 0).await.unwrap();
    assert_eq!(migrate::version(&url).await.unwrap(), None);
    migrate::up(&url, &[]).await.unwrap();
    migrate::up(&url, &[]).await.unwrap();
    assert_eq!(migrate::version(&url).await.unwrap(), newest);
    run(
        &database.url("orders"),
        "SELECT count(*) FROM orders.orders",
    )
    .await
    .unwrap();
}

#[tokio::test]
async fn a_killed_server_has_what_was_committed() {
    let directory = tempfile::Builder::new()
        .prefix("orderflow with spaces ")
        .tempdir()
        .unwrap();
    let artifacts = Artifacts::fetch().unwrap();
    let options = Options {
        directory: directory.path().to_owned(),
        port: None,
        durable: true,
        outlives_us: false,
        temporary: false,
    };
    let mut server = Postgres::start(&artifacts, options.clone()).await.unwrap();
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
    let server = Postgres::start(&artifacts, options).await.unwrap();
    run(&server.admin_url(), "SELECT count(*) FROM kept")
        .await
        .unwrap();
}

#[tokio::test]
async fn a_taken_port_is_an_error_that_says_so() {
    let taken = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let options = Options {
        directory: directory.path().to_owned(),
        port: Some(taken.local_addr().unwrap().port()),
        durable: false,
        outlives_us: false,
        temporary: false,
    };
    let error = Postgres::start(&Artifacts::fetch().unwrap(), options)
        .await
        .unwrap_err();
    assert!(
        error.to_string().contains("Address already in use"),
        "{error:#}"
    );
}
