//! A collector that is broken disturbs nobody, and what is lost is told once.

use crate::child::run;
use crate::receiver::{black_hole, listen};

const SPANS: u64 = 5_000;

#[tokio::test]
async fn a_collector_that_swallows_everything_is_outlived() {
    for protocol in ["grpc", "http/protobuf"] {
        let address = black_hole().await;
        // Ten minutes: nothing but our own limit can end the flush in time.
        assert_all_lost(protocol, &address.to_string(), "600000").await;
    }
}

#[tokio::test]
async fn a_collector_that_is_away_is_outlived() {
    for protocol in ["grpc", "http/protobuf"] {
        let (listener, address) = listen().await;
        drop(listener);
        let lines = assert_all_lost(protocol, &address.to_string(), "1000").await;
        assert!(lines > 0);
    }
}

/// Every span is lost; that is one line, and the outage and the full queue may be one more each.
async fn assert_all_lost(protocol: &str, address: &str, timeout: &str) -> usize {
    let output = run(&[
        ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &format!("http://{address}")),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", timeout),
        ("SPANS", &SPANS.to_string()),
    ])
    .await;
    assert!(output.success, "{}", output.text);

    let lost = output.with_message("spans were lost: they never reached the collector");
    assert_eq!(lost.len(), 1, "{}", output.text);
    assert_eq!(lost[0]["fields"]["lost"], SPANS + 2);
    assert_eq!(lost[0]["fields"]["ended"], SPANS + 2);

    let words = ["inside", "calling", "outside"];
    let ours = output
        .lines
        .iter()
        .filter(|line| !words.iter().any(|word| line["message"] == *word));
    let told = ours.count();
    assert!(told <= 3, "{told} lines: {}", output.text);
    told
}
