//! The migrations, and what they let the services' roles do.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on ends")]

use std::fs;

use migrate::Role;
use orderflow::{
    artifacts::Artifacts,
    postgres::{Options, Postgres, log_file},
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
async fn each_role_has_a_password_of_its_own() {
    let database = testing::database().await;
    let roles = ["postgres", "orders", "inventory", "email"];
    for role in roles {
        for other in roles {
            let url = database.url(role);
            let url = url.replace(&format!("//{role}:"), &format!("//{other}:"));
            let result = run(&url, "SELECT 1").await;
            assert_eq!(
                result.is_ok(),
                role == other,
                "{other} with {role}'s password"
            );
        }
    }
}

#[tokio::test]
async fn migrations_go_up_and_down_and_up_again() {
    let database = testing::database().await;
    let url = database.admin_url();
    let newest = migrate::version(&url).await.unwrap();
    assert!(newest > Some(1));
    migrate::down(&url, None).await.unwrap();
    assert_eq!(
        migrate::version(&url).await.unwrap(),
        newest.map(|newest| newest - 1)
    );
    migrate::down(&url, Some(1)).await.unwrap();
    assert_eq!(migrate::version(&url).await.unwrap(), Some(1));
    for _ in 0..2 {
        migrate::down(&url, None).await.unwrap();
        assert_eq!(migrate::version(&url).await.unwrap(), None);
    }
    migrate::up(&url, &[]).await.unwrap();
    migrate::up(&url, &[]).await.unwrap();
    assert_eq!(migrate::version(&url).await.unwrap(), newest);
    let count = "SELECT count(*) FROM orders.orders";
    run(&database.url("orders"), count).await.unwrap();
}

#[tokio::test]
async fn an_empty_password_is_refused() {
    let database = testing::database().await;
    let role = Role {
        name: "orders",
        password: String::new(),
    };
    let error = migrate::up(&database.admin_url(), &[role])
        .await
        .unwrap_err();
    assert_eq!(error.to_string(), "the password of orders is empty");
    run(&database.url("orders"), "SELECT 1").await.unwrap();
}

#[tokio::test]
async fn a_password_that_somebody_else_is_setting_is_set_again_and_not_shown() {
    let directory = tempfile::tempdir().unwrap();
    let options = Options {
        directory: directory.path().join("postgres"),
        port: None,
        durable: false,
        temporary: true,
    };
    let log = log_file(&options.directory);
    let artifacts = Artifacts::fetch().unwrap();
    let server = Postgres::start(&artifacts, options).await.unwrap();
    let (url, roles) = (server.admin_url(), server.roles());
    migrate::up(&url, &roles).await.unwrap();
    for statement in [
        "ALTER SYSTEM SET log_statement = 'all'",
        "SELECT pg_reload_conf()",
    ] {
        run(&url, statement).await.unwrap();
    }

    let mut other = PgConnection::connect(&url).await.unwrap();
    let mut setting = other.begin().await.unwrap();
    let set = "ALTER ROLE orders PASSWORD 'another'";
    sqlx::query(set).execute(&mut *setting).await.unwrap();
    let second = async {
        wait_until_somebody_waits(&url).await;
        setting.commit().await.unwrap();
    };
    let (first, ()) = tokio::join!(migrate::up(&url, &roles), second);
    first.unwrap();

    run(&server.url("orders", "postgres"), "SELECT 1")
        .await
        .unwrap();
    let log = fs::read_to_string(log).unwrap();
    assert!(log.contains("tuple concurrently updated"), "it was met");
    assert!(log.contains(set), "statements are logged");
    for role in &roles {
        assert!(!log.contains(&role.password), "{} in the log", role.name);
    }
}

async fn wait_until_somebody_waits(url: &str) {
    let mut connection = PgConnection::connect(url).await.unwrap();
    let waits = "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)";
    while !sqlx::query_scalar::<_, bool>(waits)
        .fetch_one(&mut connection)
        .await
        .unwrap()
    {
        tokio::task::yield_now().await;
    }
}
