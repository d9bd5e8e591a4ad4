//! A broken collector does not disturb the service, and what is lost is logged once.

use std::net::SocketAddr;

use crate::child::{Output, run};
use crate::receiver::{black_hole, listen};

const SPANS: u64 = 5_000;
const SPANS_LOST: &str = "spans were lost: they never reached the collector";
const LOG_LINES_LOST: &str = "log lines were lost: they never reached the collector";
const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
const PROTOCOL: &str = "OTEL_EXPORTER_OTLP_PROTOCOL";

/// Longer than a test may take: only our own limits can end an export.
const NEVER: (&str, &str) = ("OTEL_EXPORTER_OTLP_TIMEOUT", "600000");

/// An address that refuses connections.
async fn nowhere() -> SocketAddr {
    listen().await.1
}

#[tokio::test]
async fn a_collector_that_never_answers_does_not_delay_shutdown() {
    for protocol in ["grpc", "http/protobuf"] {
        assert_all_lost(protocol, black_hole().await, NEVER).await;
    }
}

#[tokio::test]
async fn a_collector_that_is_down_is_reported_once() {
    for protocol in ["grpc", "http/protobuf"] {
        let timeout = ("OTEL_EXPORTER_OTLP_TIMEOUT", "100");
        let output = assert_all_lost(protocol, nowhere().await, timeout).await;
        let outage = "spans can't be exported, check OTEL_EXPORTER_OTLP_ENDPOINT; \
                      the service goes on without";
        assert_eq!(output.with_message(outage).len(), 1, "{}", output.text);
    }
}

/// Every span is lost. At most five lines say so: one for each outage, one for the full queue, and one for
/// each loss.
async fn assert_all_lost(protocol: &str, address: SocketAddr, timeout: (&str, &str)) -> Output {
    let output = run(&[
        (PROTOCOL, protocol),
        (ENDPOINT, &format!("http://{address}")),
        timeout,
        ("SPANS", &SPANS.to_string()),
    ])
    .await;
    assert!(output.success, "{}", output.text);

    let lost = output.with_message(SPANS_LOST);
    assert_eq!(lost.len(), 1, "{}", output.text);
    assert_eq!(lost[0]["fields"]["lost"], SPANS + 2);
    assert_eq!(lost[0]["fields"]["recorded"], SPANS + 2);
    assert_eq!(output.with_message(LOG_LINES_LOST).len(), 1);

    let lines_of_the_child = ["inside", "calling", "outside"];
    let others = output.lines.iter().filter(|line| {
        !lines_of_the_child
            .iter()
            .any(|word| line["message"] == *word)
    });
    assert!(others.count() <= 5, "{}", output.text);
    output
}

/// Log lines are exported without spans here, so no line about spans can stand for them.
#[tokio::test]
async fn lost_log_lines_are_reported_where_no_spans_are_exported() {
    for address in [nowhere().await, black_hole().await] {
        let endpoint = format!("http://{address}");
        let output = run(&[
            (ENDPOINT, &endpoint),
            ("OTEL_TRACES_EXPORTER", "none"),
            NEVER,
        ])
        .await;
        assert!(output.success, "{}", output.text);
        let lost = output.with_message(LOG_LINES_LOST);
        assert_eq!(lost.len(), 1, "{}", output.text);
        assert_eq!(lost[0]["fields"]["lost"], 3);
        assert_eq!(lost[0]["fields"]["recorded"], 3);
        assert!(output.with_message(SPANS_LOST).is_empty());
    }
}

/// The collector never answers, and nothing else ends an export before the process ends.
#[tokio::test]
async fn the_export_timeout_ends_an_export() {
    let cases = [
        ("OTEL_BSP_EXPORT_TIMEOUT", "spans", "OTEL_LOGS_EXPORTER"),
        (
            "OTEL_BLRP_EXPORT_TIMEOUT",
            "log lines",
            "OTEL_TRACES_EXPORTER",
        ),
    ];
    for protocol in ["grpc", "http/protobuf"] {
        for (variable, items, other_exporter) in cases {
            let endpoint = format!("http://{}", black_hole().await);
            let variables = [
                (PROTOCOL, protocol),
                (ENDPOINT, &endpoint),
                NEVER,
                (variable, "20"),
                (other_exporter, "none"),
            ];
            let output = run(&variables).await;
            let message = format!(
                "{items} can't be exported, check OTEL_EXPORTER_OTLP_ENDPOINT; \
                 the service goes on without"
            );
            let lines = output.with_message(&message);
            assert_eq!(lines.len(), 1, "{variable}: {}", output.text);
            let error = lines[0]["fields"]["error"].as_str();
            assert_eq!(error, Some("Operation timed out after 20ms"));
        }
    }
}
