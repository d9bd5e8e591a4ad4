//! Printed log lines, and warnings about variables.

use std::collections::BTreeSet;

use serde_json::json;

use crate::child::{REMOTE, run};

const NO_EXPORT: (&str, &str) = ("OTEL_TRACES_EXPORTER", "none");

#[tokio::test]
async fn a_line_names_its_trace_and_span() {
    let output = run(&[NO_EXPORT]).await;

    let mut inside = output.with_message("inside")[0].clone();
    let timestamp = inside["timestamp"].take();
    let timestamp = timestamp.as_str().unwrap();
    assert!(
        timestamp.starts_with("20") && timestamp.ends_with('Z'),
        "{timestamp}"
    );
    let span_id = inside["span_id"].take();
    assert_eq!(span_id.as_str().unwrap().len(), 16);
    assert_ne!(span_id, REMOTE[36..52], "the span's own, not its parent's");
    let expected = json!({
        "timestamp": null,
        "level": "ERROR",
        "service": "child",
        "target": "process::child",
        "message": "inside",
        "trace_id": REMOTE[3..35],
        "span_id": null,
        "fields": {"answer": 42, "ratio": 0.5, "done": true},
    });
    assert_eq!(inside, expected);

    let outside = output.with_message("outside")[0].as_object().unwrap();
    let keys: BTreeSet<_> = outside.keys().map(String::as_str).collect();
    let expected = ["timestamp", "level", "service", "target", "message"];
    assert_eq!(keys, BTreeSet::from(expected));
}

#[tokio::test]
async fn rust_log_filters_log_lines() {
    let output = run(&[NO_EXPORT, ("RUST_LOG", "error")]).await;
    assert_eq!(output.with_message("inside").len(), 1);
    assert_eq!(output.lines.len(), 1, "{}", output.text);
}

#[tokio::test]
async fn a_malformed_filter_is_refused() {
    let output = run(&[NO_EXPORT, ("RUST_LOG", "loud=very")]).await;
    assert!(!output.success);
}

#[tokio::test]
async fn a_malformed_endpoint_is_refused() {
    for protocol in ["grpc", "http/protobuf"] {
        let output = run(&[
            ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "not an address"),
        ])
        .await;
        assert!(!output.success, "{protocol}: {}", output.text);
    }
}

#[tokio::test]
async fn an_unknown_value_is_named_in_a_warning_and_ignored() {
    let output = run(&[
        NO_EXPORT,
        ("OTEL_PROPAGATORS", "tracecontext,carrier-pigeon"),
        ("OTEL_TRACES_SAMPLER", "sometimes"),
    ])
    .await;
    let ours = output.with_message(
        "OTEL_PROPAGATORS: \"carrier-pigeon\" is ignored, known values are tracecontext, baggage, none",
    );
    assert_eq!(ours.len(), 1, "{}", output.text);
    let of_the_sdk = output
        .text
        .matches("Unrecognized sampler type 'sometimes'")
        .count();
    assert_eq!(
        of_the_sdk, 1,
        "the SDK's warnings are printed too: {}",
        output.text
    );
}
