//! The program itself.

use std::{process::Command, time::Duration};

use orderflow::testing::Program;
use tokio::{net::TcpListener, time::timeout};

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

#[tokio::test]
async fn it_ends_within_ten_seconds_of_sigterm_while_a_service_hangs() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    let variables = [
        ("ORDERS_SERVICE_URL", url.as_str()),
        ("INVENTORY_SERVICE_URL", url.as_str()),
    ];
    let program = env!("CARGO_BIN_EXE_gateway");
    let mut gateway = Program::start(program, &variables).await.unwrap();
    let orders = format!("http://{}/orders", gateway.address());
    let waiting = tokio::spawn(reqwest::get(orders));
    // It has asked, and gets no answer.
    let asked = timeout(Duration::from_secs(60), silent.accept());
    let _connection = asked.await.unwrap().unwrap();

    let ended = gateway.terminate(Duration::from_secs(10)).await.unwrap();
    assert!(ended.expect("it goes on").success());
    assert_eq!(waiting.await.unwrap().unwrap().status(), 504);
}
