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
