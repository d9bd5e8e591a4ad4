//! The command line where nothing runs: what it says, and that it leaves nothing.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    net::TcpListener,
    path::Path,
    process::{Command, Output},
};

fn orderflow(home: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_orderflow"))
        .args(arguments)
        .env("ORDERFLOW_HOME", home)
        .output()
        .expect("the program runs")
}

#[test]
fn says_in_one_sentence_what_is_the_matter() {
    let home = tempfile::tempdir().unwrap();
    let no_part = "There is no till; there are PostgreSQL, Kafka";
    for (arguments, succeeds, says) in [
        (&["status"][..], false, "Not running."),
        (&["status", "--json"], false, "\"ready\": false"),
        (&["down"], true, "Nothing is running."),
        (&["logs", "till"], false, no_part),
        (&["trace", "7"], false, "7 is no order's id"),
        (&["status", "--parts", "till"], false, "must be name=URL"),
    ] {
        let output = orderflow(home.path(), arguments);
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8(said).unwrap();
        assert_eq!(output.status.success(), succeeds, "{arguments:?}: {said}");
        assert!(said.contains(says), "{arguments:?}: {said}");
    }
}

#[test]
fn a_taken_port_is_named_and_nothing_is_started() {
    let home = tempfile::tempdir().unwrap();
    // If it is taken already, all the better.
    let _taken = TcpListener::bind("127.0.0.1:8084");
    let output = orderflow(home.path(), &["up"]);
    assert!(!output.status.success());
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("8084 (email)"), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
    assert_eq!(fs::read_dir(home.path()).unwrap().count(), 0);
}

#[test]
fn parts_that_run_elsewhere_are_asked_there() {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = server.local_addr().unwrap();
    let asked = std::thread::spawn(move || {
        ["200 OK", "503 Service Unavailable"].map(|status| {
            let (stream, _) = server.accept().unwrap();
            let mut request = String::new();
            BufReader::new(&stream).read_line(&mut request).unwrap();
            write!(&stream, "HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n").unwrap();
            request
        })
    });
    let parts = format!("till=http://{address}, safe=http://{address}/status");
    let home = Path::new("/nowhere");
    let output = orderflow(home, &["status", "--json", "--parts", &parts]);
    let [till, safe] = asked.join().unwrap();
    assert_eq!(till, "GET /readyz HTTP/1.1\r\n");
    assert_eq!(safe, "GET /status HTTP/1.1\r\n");
    assert!(!output.status.success());
    let said: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(said["ready"], false);
    assert_eq!(said["parts"][0]["ready"], true);
    assert_eq!(said["parts"][1]["ready"], false);
}

#[test]
fn a_state_that_nobody_keeps_is_cleared_away() {
    let home = tempfile::tempdir().unwrap();
    let stale = r#"{"phase": "ready", "broker": "kafka", "problem": null, "parts": [
        {"name": "orders", "phase": "ready", "address": "", "restarts": 0, "log": "",
         "process": {"pid": 1, "started": "before the machine did"}}],
        "supervisor": {"pid": 1, "started": "before the machine did"}}"#;
    fs::write(home.path().join("state.json"), stale).unwrap();
    let status = orderflow(home.path(), &["status"]);
    let said = String::from_utf8(status.stdout).unwrap();
    assert!(said.contains("the supervisor was killed"), "{said}");

    let down = orderflow(home.path(), &["down", "--volumes"]);
    assert!(down.status.success(), "{down:?}");
    assert!(!home.path().exists());
}
