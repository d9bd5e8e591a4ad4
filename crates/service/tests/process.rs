//! `run`, as an operating system sees it: configuration in, signals in, log lines and an exit code out.
//!
//! The program is `examples/minimal.rs`, which cargo builds along with the tests of this package.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    io::{BufRead, BufReader, Read},
    net::{SocketAddr, TcpListener},
    path::PathBuf,
    process::{Child, ChildStdout, Command, Output, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use serde_json::Value;

/// No end takes longer than this: eight seconds for the drain, two for the spans.
const LIMIT: Duration = Duration::from_secs(60);

const POSTGRES_URL: (&str, &str) = ("POSTGRES_URL", "postgres://user:secret@127.0.0.1:1/none");

fn minimal(variables: &[(&str, &str)]) -> Command {
    let tests = std::env::current_exe().unwrap();
    let built: PathBuf = tests.ancestors().nth(2).unwrap().join("examples/minimal");
    assert!(
        built.exists(),
        "to be built: cargo build -p service --example minimal"
    );
    let mut command = Command::new(built);
    command
        .env_clear()
        .env("OTEL_TRACES_EXPORTER", "none")
        .envs(variables.iter().copied());
    command
}

fn run(variables: &[(&str, &str)]) -> (Output, String) {
    let output = minimal(variables).output().unwrap();
    let said = String::from_utf8(output.stderr.clone()).unwrap();
    (output, said)
}

/// It said why, and had not begun.
fn is_misconfigured(variables: &[(&str, &str)]) -> String {
    let (output, said) = run(variables);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(output.stdout.is_empty(), "{output:?}");
    said
}

#[test]
fn what_is_missing_is_named_together() {
    for variables in [
        &[][..],
        &[("PORT", ""), ("POSTGRES_URL", "")],
        &[("PORT", ""), ("HOST", "")],
    ] {
        let said = is_misconfigured(variables);
        assert!(said.contains("--port <PORT>"), "{said}");
        assert!(said.contains("--postgres-url <POSTGRES_URL>"), "{said}");
        assert!(!said.contains("--host"), "it has a default: {said}");
    }
}

#[test]
fn what_is_malformed_is_named_by_itself_and_not_shown() {
    for (name, value) in [
        ("PORT", "4711x"),
        ("PORT", "-1"),
        ("PORT", "65536"),
        ("PORT", " "),
        ("POSTGRES_URL", "4711"),
        ("POSTGRES_URL", "mysql://user:4711@127.0.0.1/none"),
        ("POSTGRES_URL", "postgres://user:4711@127.0.0.1:port/none"),
        ("POSTGRES_MAX_CONNECTIONS", "0"),
        ("POSTGRES_MAX_CONNECTIONS", "4711x"),
    ] {
        let mut variables = vec![("PORT", "0"), POSTGRES_URL];
        variables.push((name, value));
        let said = is_misconfigured(&variables);
        assert!(
            said.contains(&format!("<{name}>")),
            "{name}={value}: {said}"
        );
        assert_eq!(said.matches("--").count(), 2, "{name} and --help: {said}");
        assert!(!said.contains("4711"), "{said}");
    }
}

#[test]
fn help_is_no_failure_and_shows_no_secret() {
    let output = minimal(&[POSTGRES_URL]).arg("--help").output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.contains("POSTGRES_URL"), "{said}");
    assert!(!said.contains("secret"), "{said}");
}

#[test]
fn telemetry_that_cannot_be_had_is_misconfigured_too() {
    let said = is_misconfigured(&[("PORT", "0"), POSTGRES_URL, ("RUST_LOG", "x=nonsense")]);
    assert!(said.contains("RUST_LOG"), "{said}");
}

#[test]
fn an_error_is_logged_once_and_is_exit_code_1() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let (output, said) = run(&[("PORT", &port), POSTGRES_URL]);
    assert_eq!(output.status.code(), Some(1), "{said}");
    let log = String::from_utf8(output.stdout).unwrap();
    let errors: Vec<&str> = log.lines().filter(|line| line.contains("ERROR")).collect();
    assert_eq!(errors.len(), 1, "{log}");
    let message = format!("cannot listen on 127.0.0.1:{port}");
    assert!(errors[0].contains(&message), "{log}");
}

/// A service that runs, until it ends or its test does.
struct Running {
    child: Child,
    log: BufReader<ChildStdout>,
    address: SocketAddr,
}

impl Running {
    /// With spans on the console, and nothing sent there before the end.
    fn start() -> Self {
        let mut child = minimal(&[("PORT", "0"), POSTGRES_URL])
            .env("OTEL_TRACES_EXPORTER", "console")
            .env("OTEL_BSP_SCHEDULE_DELAY", "3600000")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let log = BufReader::new(child.stdout.take().unwrap());
        let mut running = Self {
            child,
            log,
            address: ([127, 0, 0, 1], 0).into(),
        };
        let listening = running.wait_for("listening");
        running.address = listening["fields"]["address"]
            .as_str()
            .unwrap()
            .parse()
            .unwrap();
        running
    }

    /// Reads on until there is this message.
    fn wait_for(&mut self, message: &str) -> Value {
        for line in self.log.by_ref().lines() {
            let line: Value = serde_json::from_str(&line.unwrap()).unwrap_or_default();
            if line["message"] == message {
                return line;
            }
        }
        panic!("it ended without saying {message:?}");
    }

    fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        let sent = Command::new("kill").args([name, &id]).status();
        assert!(sent.unwrap().success());
    }

    /// Waits for its end: exit code, and what it had left to say.
    fn end(mut self) -> (Option<i32>, String) {
        let late = Instant::now() + LIMIT;
        while self.child.try_wait().unwrap().is_none() {
            assert!(Instant::now() < late, "it does not end");
            sleep(Duration::from_millis(10));
        }
        let mut rest = String::new();
        self.log.read_to_string(&mut rest).unwrap();
        (self.child.wait().unwrap().code(), rest)
    }

    fn url(&self, milliseconds: u64) -> String {
        format!("http://{}/after/{milliseconds}", self.address)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn http() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().build().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn asked_to_end_it_finishes_what_it_has_in_hand() {
    for signal in ["-TERM", "-INT"] {
        let mut running = Running::start();
        let in_flight = tokio::spawn(http().get(running.url(500)).send());
        running.wait_for("waiting");
        running.signal(signal);

        let answer = in_flight.await.unwrap().unwrap();
        assert_eq!(answer.status(), 200);
        let (code, rest) = running.end();
        assert_eq!(code, Some(0), "{rest}");
        assert!(
            rest.contains("GET /after/{milliseconds}"),
            "its span: {rest}"
        );
        assert!(!rest.contains("ERROR"), "{rest}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn asked_twice_it_ends_at_once_and_still_sends_its_spans() {
    let mut running = Running::start();
    http().get(running.url(0)).send().await.unwrap();
    running.wait_for("waiting");
    let lost = tokio::spawn(http().get(running.url(3_600_000)).send());
    running.wait_for("waiting");
    running.signal("-TERM");
    running.wait_for("ending: no new work is taken, what is in hand is finished");
    running.signal("-TERM");

    let (code, rest) = running.end();
    assert_eq!(code, Some(1), "{rest}");
    assert_eq!(rest.matches("ERROR").count(), 1, "{rest}");
    assert!(
        rest.contains("GET /after/{milliseconds}"),
        "its span: {rest}"
    );
    assert!(lost.await.unwrap().is_err());
}
