//! The program while its database accepts connections and does not answer.
//!
//! Apart from the other tests, since it freezes the server that all tests of one file share.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    io::Write,
    net::TcpStream,
    process::Command,
    time::{Duration, Instant},
};

use program::Program;
use serde_json::json;
use sqlx::PgPool;

#[path = "http/program.rs"]
mod program;

/// The promise for the time from SIGTERM to the end.
const IN_TIME: Duration = Duration::from_secs(10);

/// All processes of a PostgreSQL server, stopped; they go on when this is dropped.
struct Frozen(Vec<String>);

impl Frozen {
    async fn new(admin: &PgPool) -> Self {
        let server = "SELECT split_part(pg_read_file('postmaster.pid'), E'\\n', 1)";
        let server: String = sqlx::query_scalar(server).fetch_one(admin).await.unwrap();
        let children = sqlx::query_scalar("SELECT pid::text FROM pg_stat_activity");
        // The server first, so that it starts no other child.
        let mut all = vec![server];
        all.extend(children.fetch_all(admin).await.unwrap());
        signal("-STOP", &all);
        Self(all)
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        signal("-CONT", &self.0);
    }
}

fn signal(signal: &str, processes: &[String]) {
    let mut kill = Command::new("kill");
    let status = kill.arg(signal).args(processes).status().unwrap();
    assert!(status.success());
}

#[tokio::test]
async fn the_program_ends_in_time() {
    let database = orderflow::testing::database().await;
    let admin = PgPool::connect(&database.admin_url()).await.unwrap();
    let mut program = Program::start(&[
        ("POSTGRES_URL", &database.url("orders")),
        ("KAFKA_BROKERS", "127.0.0.1:1"),
    ]);
    let address = program.address();
    let url = format!("http://{address}/orders");
    let body = json!({
        "customer_id": "Ada",
        "items": [{"item_id": "ITEM-001", "quantity": 1, "price": 5}],
    });
    let http = reqwest::Client::new();
    let placed = http.post(&url).json(&body).send().await.unwrap();
    assert_eq!(placed.status(), 201);
    program.logged("this process relays the outbox");

    let _frozen = Frozen::new(&admin).await;
    // A request that is not answered.
    let mut waiting = TcpStream::connect(address).unwrap();
    let get = "GET /orders HTTP/1.1\r\nhost: orders\r\n\r\n";
    waiting.write_all(get.as_bytes()).unwrap();
    let asked = Instant::now();
    program.terminate();
    let status = program.ended();
    assert!(asked.elapsed() < IN_TIME, "{}", program.log);
    assert_eq!(status.code(), Some(0), "{}", program.log);
}
