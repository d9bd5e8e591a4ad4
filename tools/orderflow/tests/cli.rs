//! The command line where nothing runs: what it says, and that it leaves nothing.

use std::{
    fs,
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
