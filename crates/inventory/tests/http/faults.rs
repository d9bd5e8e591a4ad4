//! Failures on demand.

use std::time::{Duration, Instant};

use serde_json::json;
use service::Faults;
use tokio::{process::Command, time::timeout};

use crate::app::{App, new_order};

#[tokio::test]
async fn an_injected_error_has_no_effect_and_spares_the_health_checks() {
    let app = App::with_faults(Faults {
        fault_error_rate: 1.0,
        fault_delay_ms: 0,
    })
    .await;

    let answer = app.reserve("ITEM-010", &new_order(), 1).await;

    assert_eq!(answer, (500, json!({"error": "internal error"})));
    assert_eq!(app.levels("ITEM-010").await, (25, 0));
    assert!(app.reservations().await.is_empty());
    assert_eq!(app.get("/healthz").await.0, 200);
    assert_eq!(app.get("/readyz").await.0, 200);
}

#[tokio::test]
async fn some_fail_and_some_do_not() {
    let app = App::with_faults(Faults {
        fault_error_rate: 0.5,
        fault_delay_ms: 0,
    })
    .await;

    let (mut failed, mut answered) = (0, 0);
    // That 100 throws of a fair coin show one side only has a chance of 1 in 2^99.
    for _ in 0..100 {
        match app.get("/stock").await.0 {
            500 => failed += 1,
            200 => answered += 1,
            other => panic!("{other}"),
        }
    }
    assert!(
        failed > 0 && answered > 0,
        "{failed} failed, {answered} answered"
    );
}

#[tokio::test]
async fn an_injected_delay_only_takes_time() {
    let app = App::with_faults(Faults {
        fault_error_rate: 0.0,
        fault_delay_ms: 60,
    })
    .await;

    let start = Instant::now();
    assert_eq!(app.reserve("ITEM-010", &new_order(), 1).await.0, 200);

    assert!(start.elapsed() >= Duration::from_millis(60));
}

#[tokio::test]
async fn faults_that_make_no_sense_are_refused_at_start() {
    for (variable, value) in [
        ("FAULT_ERROR_RATE", "1.5"),
        ("FAULT_ERROR_RATE", "often"),
        ("FAULT_DELAY_MS", "-1"),
    ] {
        let program = Command::new(env!("CARGO_BIN_EXE_inventory"))
            .env("POSTGRES_URL", "postgres://nobody@127.0.0.1:1/nothing")
            .env("PORT", "0")
            .env("OTEL_SDK_DISABLED", "true")
            .env(variable, value)
            .kill_on_drop(true)
            .output();
        // If it is not refused, it runs.
        let ended = timeout(Duration::from_secs(60), program).await;
        let ended = ended.unwrap_or_else(|_| panic!("{variable}={value}: it runs"));
        let ended = ended.unwrap();
        let said = String::from_utf8(ended.stderr).unwrap();
        assert_eq!(ended.status.code(), Some(2), "{variable}={value}: {said}");
        assert!(said.contains("fault"), "{variable}={value}: {said}");
    }
}
