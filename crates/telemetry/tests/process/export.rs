//! Spans that arrive, by every protocol and under every variable that has to work.

use std::collections::BTreeMap;

use opentelemetry_proto::tonic::common::v1::any_value::Value::StringValue;
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, Span, span::SpanKind};

use crate::child::{REMOTE, run};
use crate::receiver::Receiver;

const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
const PROTOCOL: &str = "OTEL_EXPORTER_OTLP_PROTOCOL";

#[tokio::test]
async fn spans_arrive_over_grpc_and_http() {
    for protocol in ["grpc", "http/protobuf"] {
        let receiver = Receiver::default();
        let address = match protocol {
            "grpc" => receiver.grpc().await,
            _ => receiver.http().await,
        };
        let output = run(&[
            (ENDPOINT, &format!("http://{address}")),
            (PROTOCOL, protocol),
            ("OTEL_EXPORTER_OTLP_HEADERS", "x-tenant=alpha"),
            ("OTEL_SERVICE_NAME", "renamed"),
            (
                "OTEL_RESOURCE_ATTRIBUTES",
                "deployment.environment.name=test,team=red",
            ),
            ("SPANS", "2000"),
        ])
        .await;
        assert!(output.success, "{}", output.text);
        assert!(
            output
                .with_message("spans were lost: they never reached the collector")
                .is_empty()
        );

        let arrivals = receiver.arrivals();
        assert!(arrivals.len() > 1, "2,000 spans are more than one batch");
        assert!(
            arrivals
                .iter()
                .all(|arrival| arrival.headers["x-tenant"] == "alpha")
        );
        let resources: Vec<_> = arrivals.iter().flat_map(|arrival| &arrival.spans).collect();
        assert_eq!(
            resources
                .iter()
                .flat_map(|resource| spans(resource))
                .count(),
            2002
        );
        assert_resource(resources[0]);
        assert_step(resources[0]);
        assert_work(resources[0]);
    }
}

fn assert_resource(resource: &ResourceSpans) {
    let attributes = &resource.resource.as_ref().expect("a resource").attributes;
    let mut found: BTreeMap<_, _> = attributes
        .iter()
        .map(|attribute| {
            let value = attribute
                .value
                .as_ref()
                .and_then(|value| value.value.as_ref());
            let Some(StringValue(value)) = value else {
                panic!("not a string: {attribute:?}");
            };
            (attribute.key.as_str(), value.as_str())
        })
        .collect();
    let instance = found.remove("service.instance.id").expect("an instance");
    assert_eq!(instance.len(), 36, "a UUID");
    assert!(found.remove("telemetry.sdk.version").is_some());
    let expected = BTreeMap::from([
        ("service.name", "renamed"),
        ("service.namespace", "family"),
        ("service.version", "1.2.3"),
        ("deployment.environment.name", "test"),
        ("team", "red"),
        ("telemetry.sdk.name", "opentelemetry"),
        ("telemetry.sdk.language", "rust"),
    ]);
    assert_eq!(found, expected);
}

/// Baggage shows on spans that are started under it, and on no others.
fn assert_step(resource: &ResourceSpans) {
    let step = spans(resource)
        .find(|span| span.name == "step")
        .expect("the second span");
    let [attribute] = step.attributes.as_slice() else {
        panic!("one attribute is expected: {step:?}");
    };
    assert_eq!(attribute.key, "order.id");
}

/// The child's remote parent was not sampled. Its trace is continued, its flag is not obeyed.
fn assert_work(resource: &ResourceSpans) {
    let work = spans(resource)
        .find(|span| span.name == "work")
        .expect("the first span");
    assert_eq!(work.kind(), SpanKind::Server);
    assert_eq!(hex(&work.trace_id), REMOTE[3..35]);
    assert_eq!(hex(&work.parent_span_id), REMOTE[36..52]);
    assert!(
        work.attributes.is_empty(),
        "nothing is added by itself: {work:?}"
    );
    assert!(work.events.is_empty(), "log lines stay log lines");
    let status = work.status.as_ref().map_or(0, |status| status.code);
    assert_eq!(status, 0, "an error that is logged does not fail the span");
}

fn spans(resource: &ResourceSpans) -> impl Iterator<Item = &Span> {
    resource.scope_spans.iter().flat_map(|scope| &scope.spans)
}

fn hex(id: &[u8]) -> String {
    id.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The same lines as on standard output, with the ids of the span they were written in.
#[tokio::test]
async fn log_lines_arrive_with_their_span() {
    let receiver = Receiver::default();
    let endpoint = format!("http://{}", receiver.http().await);
    let output = run(&[(ENDPOINT, &endpoint)]).await;
    assert!(output.success, "{}", output.text);

    let lines = receiver.log_lines();
    let body = |line: &LogRecord| match &line.body.as_ref().and_then(|body| body.value.clone()) {
        Some(StringValue(text)) => text.clone(),
        other => panic!("{other:?}"),
    };
    let inside = lines
        .iter()
        .find(|line| body(line) == "inside")
        .expect("the line");
    let printed = &output.with_message("inside")[0];
    let hex = |bytes: &[u8]| {
        bytes
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect::<String>()
    };
    assert_eq!(
        hex(&inside.trace_id),
        printed["trace_id"].as_str().expect("an id")
    );
    assert_eq!(
        hex(&inside.span_id),
        printed["span_id"].as_str().expect("an id")
    );
    assert_eq!(inside.severity_text, "ERROR");
    assert!(
        inside
            .attributes
            .iter()
            .any(|attribute| attribute.key == "answer")
    );
    let outside = lines
        .iter()
        .find(|line| body(line) == "outside")
        .expect("the line");
    assert!(outside.trace_id.is_empty());

    let receiver = Receiver::default();
    let endpoint = format!("http://{}", receiver.http().await);
    run(&[(ENDPOINT, &endpoint), ("OTEL_LOGS_EXPORTER", "none")]).await;
    assert!(receiver.log_lines().is_empty());
    assert!(!receiver.arrivals().is_empty());
}

#[tokio::test]
async fn batches_are_compressed_on_request() {
    let receiver = Receiver::default();
    let address = receiver.grpc().await;
    let output = run(&[
        (ENDPOINT, &format!("http://{address}")),
        (PROTOCOL, "grpc"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"),
    ])
    .await;
    assert!(output.success, "{}", output.text);
    assert_eq!(receiver.arrivals()[0].headers["grpc-encoding"], "gzip");
}

#[tokio::test]
async fn what_is_not_to_be_exported_is_not() {
    let cases = [
        ("OTEL_SDK_DISABLED", "true"),
        ("OTEL_TRACES_EXPORTER", "none"),
        ("OTEL_TRACES_EXPORTER", "console"),
        ("OTEL_TRACES_SAMPLER", "always_off"),
    ];
    for (name, value) in cases {
        let receiver = Receiver::default();
        let address = receiver.http().await;
        let output = run(&[(ENDPOINT, &format!("http://{address}")), (name, value)]).await;
        assert!(output.success, "{}", output.text);
        assert!(receiver.arrivals().is_empty(), "{name}={value}");
    }
}

#[tokio::test]
async fn the_console_exporter_prints_spans() {
    let output = run(&[("OTEL_TRACES_EXPORTER", "console")]).await;
    let names = output
        .text
        .lines()
        .filter(|line| line.contains("Name") && line.ends_with(": work"));
    assert_eq!(names.count(), 1, "{}", output.text);
}

#[tokio::test]
async fn context_is_handed_on_whatever_becomes_of_the_spans() {
    let cases = [
        // A span of our own stands between, sampled by our own decision.
        (
            ("OTEL_TRACES_EXPORTER", "none"),
            Some((&REMOTE[..36], "-01")),
        ),
        (
            ("OTEL_TRACES_SAMPLER", "always_off"),
            Some((&REMOTE[..36], "-00")),
        ),
        // No span of ours: what came in goes out.
        (("OTEL_SDK_DISABLED", "TRUE"), Some((REMOTE, REMOTE))),
        (("OTEL_PROPAGATORS", "none"), None),
        (("OTEL_PROPAGATORS", "baggage"), None),
    ];
    for ((name, value), handed_on) in cases {
        let without_export = ("OTEL_TRACES_EXPORTER", "none");
        let output = run(&[without_export, (name, value)]).await;
        let calling = output.with_message("calling");
        assert_eq!(calling.len(), 1, "{}", output.text);
        let traceparent = calling[0]["fields"]["traceparent"].as_str();
        match handed_on {
            None => assert_eq!(traceparent, None, "{name}={value}"),
            Some((start, end)) => {
                let traceparent = traceparent.unwrap_or_default();
                assert!(
                    traceparent.starts_with(start),
                    "{name}={value}: {traceparent}"
                );
                assert!(traceparent.ends_with(end), "{name}={value}: {traceparent}");
            }
        }
    }
}

#[tokio::test]
async fn the_log_level_does_not_filter_spans() {
    let receiver = Receiver::default();
    let address = receiver.http().await;
    let output = run(&[
        (ENDPOINT, &format!("http://{address}")),
        ("RUST_LOG", "off"),
    ])
    .await;
    assert!(output.lines.is_empty(), "{}", output.text);
    assert_eq!(receiver.arrivals().len(), 1);
}
