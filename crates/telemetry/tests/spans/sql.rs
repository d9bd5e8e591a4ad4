//! Tests the spans of statements without a database.

use std::time::Duration;

use crate::support::{capture, expected, only};
use opentelemetry::trace::{SpanKind, Status};
use telemetry::sql::{Database, PoolOptions, Statement};
use telemetry::testing::attributes;
use tokio::net::TcpListener;

const COUNT: Statement = Statement {
    summary: "SELECT shop.carts",
    text: "SELECT count(*) FROM shop.carts WHERE owner = $1",
};

fn options(url: String) -> PoolOptions {
    PoolOptions {
        url,
        schema: "shop",
        application_name: "telemetry-test",
        max_connections: 2,
        acquire_timeout: Duration::from_millis(200),
        statement_timeout: Duration::from_secs(60),
    }
}

/// A port that refuses connections.
async fn nowhere() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    listener.local_addr().expect("its address").port()
}

#[tokio::test]
async fn an_unreachable_database_fails_the_span_of_each_statement() {
    let capture = capture();
    let port = nowhere().await;
    let url = format!("postgres://me:hunter2@127.0.0.1:{port}/market");
    let database = Database::connect(&options(url)).unwrap();

    let query = sqlx::query(COUNT.text)
        .bind("hunter3")
        .fetch_one(database.pool());
    assert!(database.run(&COUNT, query).await.is_err());
    assert!(database.begin().await.is_err());

    let spans = capture.ended();
    let described = [(COUNT.summary, COUNT.text), ("BEGIN", "BEGIN")];
    assert_eq!(spans.len(), described.len());
    for (span, (summary, text)) in spans.iter().zip(described) {
        assert_eq!(span.name, summary);
        assert_eq!(span.span_kind, SpanKind::Client);
        assert!(matches!(&span.status, Status::Error { description } if !description.is_empty()));
        assert_eq!(
            attributes(span),
            expected([
                ("db.system.name", "postgresql".into()),
                ("db.namespace", "market|shop".into()),
                ("db.query.summary", summary.into()),
                ("db.query.text", text.into()),
                ("server.address", "127.0.0.1".into()),
                ("server.port", i64::from(port).into()),
                ("error.type", "pool_timeout".into()),
            ])
        );
    }
}

#[tokio::test]
async fn a_missing_row_does_not_fail_the_span() {
    let capture = capture();
    let url = "postgres://me@localhost/market".to_owned();
    let database = Database::connect(&options(url)).unwrap();

    let nothing = async { Err::<(), _>(sqlx::Error::RowNotFound) };
    assert!(database.run(&COUNT, nothing).await.is_err());

    let span = only(&capture);
    assert_eq!(span.status, Status::Unset);
    let found = attributes(&span);
    assert!(!found.contains_key("error.type"));
    assert!(!found.contains_key("server.port"), "5432 is the default");
}

#[tokio::test]
async fn a_statement_may_be_made_at_run_time() {
    let capture = capture();
    let url = "postgres://me@localhost/market".to_owned();
    let database = Database::connect(&options(url)).unwrap();

    let text = format!("SELECT count(*) FROM {}.carts", "shop");
    let statement = Statement {
        text: &text,
        ..COUNT
    };
    let nothing = async { Ok::<_, sqlx::Error>(()) };
    database.run(&statement, nothing).await.unwrap();

    let span = only(&capture);
    assert_eq!(span.name, COUNT.summary);
    assert_eq!(attributes(&span)["db.query.text"], text.into());
}

#[tokio::test]
async fn a_malformed_url_is_refused() {
    assert!(Database::connect(&options("nonsense".to_owned())).is_err());
}
