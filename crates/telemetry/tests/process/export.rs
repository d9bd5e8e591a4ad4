//! Spans and log lines that are exported, by each protocol and under each variable.

use std::collections::BTreeMap;

use opentelemetry_proto::tonic::common::v1::any_value::Value::StringValue;
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, Span, span::SpanKind};

use crate::child::{REMOTE, REMOTE_BAGGAGE, run};
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
                "deployment.environment.name=staging%3Deu,team=caf%C3%A9%2C%20Z%C3%BCrich",
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
        ("deployment.environment.name", "staging=eu"),
        ("team", "café, Zürich"),
        ("telemetry.sdk.name", "opentelemetry"),
        ("telemetry.sdk.language", "rust"),
    ]);
    assert_eq!(found, expected);
}

/// A span has the baggage entry as an attribute if it was started under the entry.
fn assert_step(resource: &ResourceSpans) {
    let step = spans(resource)
        .find(|span| span.name == "step")
        .expect("the second span");
    let [attribute] = step.attributes.as_slice() else {
        panic!("one attribute is expected: {step:?}");
    };
    assert_eq!(attribute.key, "order.id");
}

/// The child's remote parent is not sampled. The trace is continued, but the flag is ignored.
fn assert_work(resource: &ResourceSpans) {
    let work = spans(resource)
        .find(|span| span.name == "work")
        .expect("the first span");
    assert_eq!(work.kind(), SpanKind::Server);
    assert_eq!(hex(&work.trace_id), REMOTE[3..35]);
    assert_eq!(hex(&work.parent_span_id), REMOTE[36..52]);
    assert!(
        work.attributes.is_empty(),
        "no attribute is added by default: {work:?}"
    );
    assert!(work.events.is_empty(), "log lines are not copied to spans");
    let status = work.status.as_ref().map_or(0, |status| status.code);
    assert_eq!(status, 0, "a logged error does not change the status");
}

fn spans(resource: &ResourceSpans) -> impl Iterator<Item = &Span> {
    resource.scope_spans.iter().flat_map(|scope| &scope.spans)
}

fn hex(id: &[u8]) -> String {
    id.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The exported lines are the printed ones, with the same ids.
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
async fn nothing_is_exported_where_exporting_is_off() {
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

/// With a delay of ten minutes all items are exported together at shutdown. With our default of 500 ms the
/// first items would be exported during the child's pause.
#[tokio::test]
async fn the_schedule_delay_is_taken_from_the_environment() {
    for variable in ["OTEL_BSP_SCHEDULE_DELAY", "OTEL_BLRP_SCHEDULE_DELAY"] {
        let receiver = Receiver::default();
        let endpoint = format!("http://{}", receiver.http().await);
        let variables = [
            (ENDPOINT, endpoint.as_str()),
            (variable, "600000"),
            ("PAUSE_MS", "1000"),
        ];
        let output = run(&variables).await;
        assert!(output.success, "{}", output.text);
        let exports = match variable {
            "OTEL_BSP_SCHEDULE_DELAY" => receiver.arrivals().len(),
            _ => receiver.log_batches().len(),
        };
        assert_eq!(exports, 1, "{variable}");
    }
}

/// `init` installs the propagators of this crate: a value keeps its `=`, a malformed member is dropped
/// without a word in the log, and no empty `tracestate` is sent.
#[tokio::test]
async fn baggage_is_passed_on_and_not_logged() {
    let output = run(&[("OTEL_TRACES_EXPORTER", "none"), ("RUST_LOG", "trace")]).await;
    let fields = &output.with_message("calling")[0]["fields"];
    assert_eq!(fields["baggage"], "order.id=o-1,token=YWJj==");
    assert_eq!(fields["tracestate"], serde_json::Value::Null);
    let malformed = REMOTE_BAGGAGE.split(',').next_back().expect("a member");
    assert!(!output.text.contains(malformed), "{}", output.text);
}

#[tokio::test]
async fn context_is_passed_on_whether_spans_are_exported_or_not() {
    let cases = [
        // With a span of our own in between, whose sampling is our own decision.
        (
            ("OTEL_TRACES_EXPORTER", "none"),
            Some((&REMOTE[..36], "-01")),
        ),
        (
            ("OTEL_TRACES_SAMPLER", "always_off"),
            Some((&REMOTE[..36], "-00")),
        ),
        // Without a span of our own, the incoming context is passed on unchanged.
        (("OTEL_SDK_DISABLED", "TRUE"), Some((REMOTE, REMOTE))),
        (("OTEL_PROPAGATORS", "none"), None),
        (("OTEL_PROPAGATORS", "baggage"), None),
    ];
    for ((name, value), passed_on) in cases {
        let without_export = ("OTEL_TRACES_EXPORTER", "none");
        let output = run(&[without_export, (name, value)]).await;
        let calling = output.with_message("calling");
        assert_eq!(calling.len(), 1, "{}", output.text);
        let traceparent = calling[0]["fields"]["traceparent"].as_str();
        match passed_on {
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
