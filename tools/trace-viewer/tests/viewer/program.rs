//! The program itself: from its variables to its end.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_trace-viewer"));
    for port in ["VIEWER_PORT", "OTLP_GRPC_PORT", "OTLP_HTTP_PORT"] {
        command.env(port, "0");
    }
    // Set but empty is as good as missing.
    command
        .env("HOST", "")
        .env("VIEWER_MEMORY_BYTES", "")
        .env("VIEWER_ALLOWED_HOSTS", "");
    command.stderr(Stdio::piped());
    command
}

fn first_line(child: &mut Child) -> String {
    let mut line = String::new();
    BufReader::new(child.stderr.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    line
}

#[test]
fn it_says_where_it_is_and_ends_when_told_to() {
    let mut child = program().env("VIEWER_LOG_JSON", "true").spawn().unwrap();
    let ready: serde_json::Value = serde_json::from_str(&first_line(&mut child)).unwrap();
    let page = ready["fields"]["page"].as_str().unwrap();
    assert!(page.starts_with("http://127.0.0.1:"), "{page}");
    let told = Command::new("kill")
        .arg(child.id().to_string())
        .status()
        .unwrap();
    assert!(told.success());
    assert!(child.wait().unwrap().success());
}

#[test]
fn a_taken_port_is_one_clear_sentence() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let mut child = program().env("OTLP_HTTP_PORT", &port).spawn().unwrap();
    let line = first_line(&mut child);
    assert!(
        line.contains(&format!(
            "cannot listen on 127.0.0.1:{port} (set OTLP_HTTP_PORT to another port)"
        )),
        "{line}"
    );
    assert_eq!(child.wait().unwrap().code(), Some(1));
}

#[test]
fn a_malformed_variable_is_named() {
    let output = program().env("VIEWER_PORT", "lots").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8(output.stderr).unwrap().contains("--port"));
}

#[test]
fn settings_that_cannot_be_read_are_named() {
    for (file, reason) in [("/nonexistent.json", "No such file"), ("/dev/null", "EOF")] {
        let mut child = program().env("VIEWER_SETTINGS", file).spawn().unwrap();
        let line = first_line(&mut child);
        let expected = format!("cannot read {file} (set by VIEWER_SETTINGS): {reason}");
        assert!(line.contains(&expected), "{line}");
        assert_eq!(child.wait().unwrap().code(), Some(1));
    }
}

/// A program that ends with its test, even a failed one.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The spans of one trace, and the memory that the viewer may use for them.
const SPANS: u64 = 40_000;
const MEMORY: u64 = 128 * 1024 * 1024;

/// Answers count: a look at a large trace once took three times the memory of the trace itself.
#[tokio::test]
async fn a_look_at_a_large_trace_stays_within_the_memory() {
    let child = program()
        .env("VIEWER_LOG_JSON", "true")
        .env("VIEWER_MEMORY_BYTES", MEMORY.to_string())
        .spawn();
    let mut child = Killed(child.unwrap());
    let ready: serde_json::Value = serde_json::from_str(&first_line(&mut child.0)).unwrap();
    let page = ready["fields"]["page"].as_str().unwrap();
    let otlp = ready["fields"]["otlp_http"].as_str().unwrap();
    let client = reqwest::Client::new();
    for first in (1..=SPANS).step_by(10_000) {
        let spans: Vec<_> = (first..first + 10_000).map(call).collect();
        let request = serde_json::json!({"resourceSpans": [{"scopeSpans": [{"spans": spans}]}]});
        let request = client
            .post(format!("http://{otlp}/v1/traces"))
            .json(&request);
        assert_eq!(request.send().await.unwrap().text().await.unwrap(), "{}");
    }
    for path in ["view/traces/aa", "api/traces/aa", "view/traces"] {
        let look = |_| {
            let request = client.get(format!("{page}{path}"));
            tokio::spawn(async { request.send().await?.bytes().await })
        };
        for look in (0..3).map(look).collect::<Vec<_>>() {
            assert!(look.await.unwrap().unwrap().ends_with(b"}"), "{path}");
        }
    }
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.0.id())).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let peak = peak.unwrap().trim().trim_end_matches(" kB");
    let peak = 1024 * peak.parse::<u64>().unwrap();
    println!("{} MiB at most", peak / 1024 / 1024);
    // The program itself, and the requests that it reads: 16 MiB each at most, one at a time here.
    let beside = 96 * 1024 * 1024;
    assert!(peak < MEMORY + beside, "{peak} bytes");
}

fn call(id: u64) -> serde_json::Value {
    let text = |key, value| serde_json::json!({"key": key, "value": {"stringValue": value}});
    serde_json::json!({"traceId": format!("{:032x}", 0xaa), "spanId": format!("{id:016x}"), "kind": 3,
        "parentSpanId": if id == 1 { String::new() } else { format!("{:016x}", id / 8 + 1) },
        "name": "SELECT orders.orders", "startTimeUnixNano": id.to_string(), "endTimeUnixNano": (id + 9).to_string(),
        "attributes": [text("db.system.name", "postgresql"), text("db.query.summary", "SELECT orders.orders"),
            text("db.query.text", "SELECT id, customer_id, total FROM orders.orders WHERE id = $1")]})
}
