//! Each subcommand, for a second: that it works, whatever its figures are.

use std::process::{Command, Output};

use orderflow::stack::Stack;
use serde_json::Value;

fn bench(arguments: &[&str]) -> Output {
    let program = env!("CARGO_BIN_EXE_orderflow-bench");
    let output = Command::new(program)
        .args(arguments)
        .output()
        .expect("to run");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {said}");
    output
}

/// Runs it with `--json`, looks whether each figure is there, and tells what is in the first column.
fn names(arguments: &[&str]) -> Vec<String> {
    let output = bench(&[arguments, &["--seconds", "1", "--json"]].concat());
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let rows = report["rows"].as_array().expect("rows");
    let name = |row: &Value| {
        let cells = row.as_object().expect("cells").iter();
        let texts: Vec<_> = cells
            .filter(|(column, cell)| {
                assert!(
                    !cell.is_null(),
                    "{arguments:?}: nothing in {column:?} of {row}"
                );
                cell.is_string()
            })
            .filter_map(|(_, cell)| cell.as_str())
            .collect();
        texts.join(", ")
    };
    rows.iter().map(name).collect()
}

#[test]
fn each_measures_something() {
    let once = ["--rounds", "1"];
    let dev = ["--profile", "dev"];
    let orders = [
        "orders",
        "--clients",
        "2",
        "--rates",
        "20",
        "--one-item-clients",
        "2",
        "--replicas",
        "2",
    ];
    assert_eq!(
        names(&[&orders[..], &once, &dev].concat()),
        ["2 clients", "20 each second", "2 clients, one item"]
    );
    assert_eq!(
        names(&[&["overhead", "--clients", "2"][..], &once, &dev].concat()),
        ["off", "every order", "one in ten"]
    );
    assert_eq!(names(&[&["messaging"][..], &once].concat()).len(), 4);
    let limit = ["limit", "--connections", "2", "--messages", "2"];
    assert_eq!(names(&[&limit[..], &once].concat()).len(), 4);
}

#[tokio::test]
async fn compares_what_runs_already() {
    let directory = tempfile::tempdir().unwrap();
    let mut stack = Stack::builder(directory.path())
        .memory_broker()
        .start()
        .await
        .unwrap();
    let gateway = stack.gateway_url();
    let pid = stack.service("gateway").process().pid().to_string();
    let compare = move || {
        let one = ["--gateway", gateway.as_str(), "--pids", pid.as_str()];
        let named = [
            "--name",
            "this",
            "--name",
            "the same",
            "--clients",
            "1,2",
            "--rounds",
            "1",
        ];
        names(&[&["compare"], &one[..], &one, &named].concat())
    };
    let rows = tokio::task::spawn_blocking(compare).await.unwrap();
    let expected = [
        "1 client, this",
        "2 clients, this",
        "1 client, the same",
        "2 clients, the same",
    ];
    assert_eq!(rows, expected);
}
