//! What becomes of a server when the process that started it is killed.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on ends")]

use std::{
    env,
    path::Path,
    process::{Child, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use orderflow::{
    artifacts::Artifacts,
    postgres::{Options, Postgres, data_directory},
};

const DIRECTORY: &str = "ORDERFLOW_TEST_DIRECTORY";

/// Not a test: what the tests below run and kill.
#[tokio::test]
#[ignore = "the other tests run it"]
async fn victim() {
    let Ok(directory) = env::var(DIRECTORY) else {
        return;
    };
    let options = Options {
        directory: directory.into(),
        port: None,
        durable: false,
        temporary: true,
    };
    let artifacts = Artifacts::fetch().unwrap();
    let _server = Postgres::start(&artifacts, options).await.unwrap();
    std::future::pending().await
}

#[test]
fn a_server_ends_with_us_and_leaves_nothing() {
    nothing_is_left_when_killed_at("data/postmaster.pid");
}

#[test]
fn data_that_are_just_being_made_do_not_stay() {
    nothing_is_left_when_killed_at("data.new/PG_VERSION");
}

fn nothing_is_left_when_killed_at(sign: &str) {
    // Where it was fetched is no part of the test.
    Artifacts::fetch().unwrap();
    let home = tempfile::tempdir().unwrap();
    let directory = home.path().join("orderflow postgres");
    let place = data_directory(&directory);
    let mut victim = start(&directory);
    wait_until(|| place.join(sign).exists());
    victim.kill().unwrap();
    victim.wait().unwrap();
    wait_until(|| !place.exists());
}

fn start(directory: &Path) -> Child {
    Command::new(env::current_exe().unwrap())
        .args(["--exact", "victim", "--ignored"])
        .env(DIRECTORY, directory)
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

fn wait_until(condition: impl Fn() -> bool) {
    let since = Instant::now();
    while !condition() {
        assert!(
            since.elapsed() < Duration::from_secs(60),
            "it does not come"
        );
        sleep(Duration::from_millis(1));
    }
}
