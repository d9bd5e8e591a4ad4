//! The program itself.

use std::process::Command;

fn gateway(variables: &[(&str, &str)]) -> (Option<i32>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_gateway"))
        .env_clear()
        .envs(variables.iter().copied())
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    (output.status.code(), said)
}

#[test]
fn what_is_missing_is_named_all_at_once() {
    let (code, said) = gateway(&[("INVENTORY_SERVICE_URL", "")]);
    assert_eq!(code, Some(2), "{said}");
    for name in ["port", "orders-service-url", "inventory-service-url"] {
        assert!(said.contains(name), "{name} is not named in: {said}");
    }
}

#[test]
fn what_is_malformed_is_named_by_itself() {
    let (code, said) = gateway(&[
        ("PORT", "0"),
        ("ORDERS_SERVICE_URL", "not a URL"),
        ("INVENTORY_SERVICE_URL", "http://127.0.0.1:8082"),
    ]);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("orders-service-url"), "{said}");
    assert!(!said.contains("inventory-service-url"), "{said}");
}
