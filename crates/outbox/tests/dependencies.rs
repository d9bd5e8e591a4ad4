//! What a program that takes this crate has to compile.

use std::process::Command;

#[test]
fn no_http_stack() {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--package", "outbox", "--edges", "normal"])
        .args(["--prefix", "none", "--offline"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    let tree = String::from_utf8_lossy(&output.stdout);
    assert!(tree.starts_with("outbox "), "{output:?}");
    for name in ["axum", "hyper", "reqwest", "tower", "telemetry", "service"] {
        let found = tree
            .lines()
            .find(|line| line.split(' ').next() == Some(name));
        assert_eq!(found, None);
    }
}
