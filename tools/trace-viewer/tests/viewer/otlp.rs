//! OTLP in, over real sockets: gRPC, protobuf and JSON, plain and packed, right and wrong.

use std::io::Write;

use crate::support::{Running, start, start_with};
use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::logs::v1::logs_service_client::LogsServiceClient;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_client::MetricsServiceClient;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::any_value::Value as ProtoValue;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message;
use reqwest::Method;
use serde_json::{Value, json};
use tonic::codec::CompressionEncoding;

const TRACE: &str = "/api/traces/0102030405060708090a0b0c0d0e0f10";

fn span(id: u8) -> Span {
    Span {
        trace_id: (1..=16).collect(),
        span_id: vec![0, 0, 0, 0, 0, 0, 0, id],
        name: format!("span {id}"),
        start_time_unix_nano: 1_000,
        end_time_unix_nano: 2_000,
        ..Span::default()
    }
}

fn request(spans: Vec<Span>) -> ExportTraceServiceRequest {
    let value = Some(AnyValue {
        value: Some(ProtoValue::StringValue("shop".to_owned())),
    });
    let name = KeyValue {
        key: "service.name".to_owned(),
        value,
        ..KeyValue::default()
    };
    let resource = Some(Resource {
        attributes: vec![name],
        ..Resource::default()
    });
    let scope_spans = vec![ScopeSpans {
        spans,
        ..ScopeSpans::default()
    }];
    let resource_spans = ResourceSpans {
        resource,
        scope_spans,
        ..ResourceSpans::default()
    };
    ExportTraceServiceRequest {
        resource_spans: vec![resource_spans],
    }
}

async fn span_names(viewer: &Running) -> Vec<String> {
    let trace = viewer.get_json(TRACE).await;
    let spans = trace["data"][0]["spans"].as_array().unwrap();
    spans
        .iter()
        .map(|span| span["operationName"].as_str().unwrap().to_owned())
        .collect()
}

fn pack(body: &[u8]) -> Vec<u8> {
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(body).unwrap();
    packed.finish().unwrap()
}

async fn post(viewer: &Running, body: Vec<u8>, headers: &[(&str, &str)]) -> reqwest::Response {
    let mut request = viewer
        .client
        .post(format!("http://{}/v1/traces", viewer.otlp_http))
        .body(body);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.send().await.unwrap()
}

const PROTOBUF: (&str, &str) = ("content-type", "application/x-protobuf");
const JSON: (&str, &str) = ("content-type", "application/json; charset=utf-8");
const GZIP: (&str, &str) = ("content-encoding", "gzip");

#[tokio::test]
async fn grpc_takes_spans_plain_and_packed_and_says_which_it_refused() {
    let viewer = start().await;
    let client = TraceServiceClient::connect(format!("http://{}", viewer.otlp_grpc))
        .await
        .unwrap();
    client.clone().export(request(vec![span(1)])).await.unwrap();
    let bad = Span {
        trace_id: vec![0; 16],
        ..span(2)
    };
    let worse = Span {
        span_id: vec![1, 2, 3],
        ..span(3)
    };
    let mut packed = client.send_compressed(CompressionEncoding::Gzip);
    let answer = packed
        .export(request(vec![bad, worse, span(4)]))
        .await
        .unwrap()
        .into_inner();
    let partial = answer.partial_success.unwrap();
    assert_eq!(partial.rejected_spans, 2);
    assert_eq!(
        partial.error_message,
        "span 'span 2': the trace id must be 16 bytes, not all zero; it is all zero"
    );
    assert_eq!(span_names(&viewer).await, ["span 1", "span 4"]);
}

#[tokio::test]
async fn grpc_takes_metrics_and_logs_politely() {
    let viewer = start().await;
    let address = format!("http://{}", viewer.otlp_grpc);
    let mut metrics = MetricsServiceClient::connect(address.clone())
        .await
        .unwrap();
    metrics
        .export(ExportMetricsServiceRequest::default())
        .await
        .unwrap();
    let mut logs = LogsServiceClient::connect(address).await.unwrap();
    logs.export(ExportLogsServiceRequest::default())
        .await
        .unwrap();
}

#[tokio::test]
async fn http_takes_protobuf_plain_and_packed() {
    let viewer = start().await;
    let plain = post(&viewer, request(vec![span(1)]).encode_to_vec(), &[PROTOBUF]).await;
    assert_eq!(plain.headers()["content-type"], "application/x-protobuf");
    assert_eq!(plain.bytes().await.unwrap(), "");
    let packed = pack(&request(vec![span(2), Span::default()]).encode_to_vec());
    let packed = post(&viewer, packed, &[PROTOBUF, GZIP]).await;
    let answer = ExportTraceServiceResponse::decode(packed.bytes().await.unwrap()).unwrap();
    assert_eq!(answer.partial_success.unwrap().rejected_spans, 1);
    assert_eq!(span_names(&viewer).await, ["span 1", "span 2"]);
}

#[tokio::test]
async fn http_takes_json_and_says_which_spans_it_refused() {
    let viewer = start().await;
    let span = |id: &str, trace: &str| {
        json!({"traceId": trace, "spanId": id, "name": "n", "kind": 2,
        "startTimeUnixNano": 1_000, "endTimeUnixNano": "2000", "nosuch": null})
    };
    let spans = [
        span("00000000000000AA", "0102030405060708090A0B0C0D0E0F10"),
        span("0000000000000001", "0102"),
    ];
    let request = json!({"resourceSpans": [{"scopeSpans": [{"spans": spans}]}]});
    let answer = post(&viewer, pack(request.to_string().as_bytes()), &[JSON, GZIP]).await;
    let answer: Value = answer.json().await.unwrap();
    assert_eq!(answer["partialSuccess"]["rejectedSpans"], "1");
    let reason = "span 'n': the trace id must be 16 bytes, not all zero; it is 2 bytes long";
    assert_eq!(answer["partialSuccess"]["errorMessage"], reason);
    assert_eq!(span_names(&viewer).await, ["n"]);
}

/// Each status is final: a sender must not retry it (OTLP's senders retry 429, 502, 503 and 504).
#[tokio::test]
async fn http_refuses_for_good() {
    let viewer = start().await;
    let json = "application/json";
    let protobuf = "application/x-protobuf";
    let types = "415 unsupported media type, supported: [application/json, application/x-protobuf]";
    let methods = "405 method not allowed, supported: [POST]";
    for (method, path, content_type, body, status, answered) in [
        (
            "POST",
            "/v1/traces",
            json,
            "{]",
            400,
            r#"{"code":3,"message":"key must"#,
        ),
        (
            "POST",
            "/v1/traces",
            json,
            r#"{"resourceSpans":"x"}"#,
            400,
            r#"{"code":3,"message":"resourceSpans: must"#,
        ),
        ("POST", "/v1/traces", protobuf, "x", 400, "\x08\x03\x12"),
        ("POST", "/v1/traces", "text/plain", "x", 415, types),
        ("GET", "/v1/traces", json, "", 405, methods),
        ("OPTIONS", "/v1/traces", json, "", 405, methods),
        ("POST", "/v1/nosuch", json, "{}", 404, "404 page not found"),
    ] {
        let method: Method = method.parse().unwrap();
        let url = format!("http://{}{path}", viewer.otlp_http);
        let request = viewer.client.request(method, url);
        let answer = request.header("content-type", content_type).body(body);
        let answer = answer.send().await.unwrap();
        assert_eq!(answer.status(), status, "{body}");
        let text = answer.text().await.unwrap();
        assert!(text.starts_with(answered), "{text}");
    }
}

#[tokio::test]
async fn a_request_over_the_limit_is_refused_before_it_is_unpacked() {
    let viewer = start().await;
    let bomb = pack(&vec![b' '; 64 * 1024 * 1024]);
    assert!(bomb.len() < 1024 * 1024);
    let answer = post(&viewer, bomb, &[JSON, GZIP]).await;
    assert_eq!(answer.status(), 413);
    let answer: Value = answer.json().await.unwrap();
    assert_eq!(
        answer["message"],
        "a request may hold 16777216 bytes, unpacked"
    );
}

#[tokio::test]
async fn what_is_not_packed_right_is_refused() {
    let viewer = start().await;
    assert_eq!(
        post(&viewer, b"no gzip".to_vec(), &[JSON, GZIP])
            .await
            .status(),
        400
    );
    let zstd = ("content-encoding", "zstd");
    assert_eq!(
        post(&viewer, b"{}".to_vec(), &[JSON, zstd]).await.status(),
        415
    );
}

#[tokio::test]
async fn a_foreign_host_gets_nothing_and_the_right_ones_all() {
    let viewer = start().await;
    for (host, status) in [
        ("evil.example", 421),
        ("localhost:16686", 200),
        ("127.0.0.1", 200),
    ] {
        for address in [viewer.page, viewer.otlp_http] {
            let path = if address == viewer.page {
                "api/services"
            } else {
                "v1/traces"
            };
            let method = if address == viewer.page {
                Method::GET
            } else {
                Method::POST
            };
            let request = viewer
                .client
                .request(method, format!("http://{address}/{path}"));
            let request = request
                .header("host", host)
                .header("content-type", "application/json");
            assert_eq!(
                request.body("{}").send().await.unwrap().status(),
                status,
                "{host}"
            );
        }
    }
}

#[tokio::test]
async fn it_stops_when_told_to() {
    let viewer = start().await;
    viewer.get_json("/api/services").await;
    viewer.stop.cancel();
    viewer.served.await.unwrap().unwrap();
}

#[tokio::test]
async fn every_member_of_a_gzip_body_counts() {
    let viewer = start().await;
    let [one, two] = [1, 2].map(|id| pack(&request(vec![span(id)]).encode_to_vec()));
    let answer = post(&viewer, [one, two].concat(), &[PROTOBUF, GZIP]).await;
    assert_eq!(answer.status(), 200);
    let json = json!({"resourceSpans": [{"scopeSpans": [{"spans": [{"name": "span 3", "spanId": "0000000000000003",
        "traceId": "0102030405060708090a0b0c0d0e0f10"}]}]}]});
    let json = json.to_string();
    let (start, end) = json.as_bytes().split_at(40);
    let json = [pack(start), pack(end)].concat();
    assert_eq!(post(&viewer, json, &[JSON, GZIP]).await.status(), 200);
    assert_eq!(span_names(&viewer).await, ["span 1", "span 2", "span 3"]);
}

#[tokio::test]
async fn deflate_is_unpacked_too() {
    let viewer = start().await;
    let mut packed = ZlibEncoder::new(Vec::new(), Compression::fast());
    packed
        .write_all(&request(vec![span(1)]).encode_to_vec())
        .unwrap();
    let deflate = ("content-encoding", "deflate");
    let answer = post(&viewer, packed.finish().unwrap(), &[PROTOBUF, deflate]).await;
    assert_eq!(answer.status(), 200);
    assert_eq!(span_names(&viewer).await, ["span 1"]);
}

#[tokio::test]
async fn header_values_may_be_in_any_case() {
    let viewer = start().await;
    let protobuf = ("content-type", "Application/X-Protobuf");
    let gzip = ("content-encoding", "GZip");
    let packed = pack(&request(vec![span(1)]).encode_to_vec());
    let answer = post(&viewer, packed, &[protobuf, gzip]).await;
    assert_eq!(answer.status(), 200);
    let json = ("content-type", "Application/JSON;Charset=UTF-8");
    let identity = ("content-encoding", "Identity");
    let answer = post(&viewer, b"{}".to_vec(), &[json, identity]).await;
    assert_eq!(answer.status(), 200);
}

/// Wherever the fault is, the other spans of the request are kept.
#[tokio::test]
async fn one_bad_span_is_a_partial_success() {
    let good = json!({"name": "good", "traceId": "0102030405060708090a0b0c0d0e0f10", "spanId": "0000000000000001"});
    let faults = [
        (
            "traceId",
            json!("no hex"),
            "traceId: must be a text of hex digits",
        ),
        (
            "traceId",
            json!("0102"),
            "span 'bad': the trace id must be 16 bytes, not all zero; it is 2 bytes long",
        ),
        (
            "spanId",
            json!(null),
            "span 'bad': the span id must be 8 bytes, not all zero; it is 0 bytes long",
        ),
        ("name", json!(7), "name: must be a text"),
        (
            "kind",
            json!("SPAN_KIND_NONSUCH"),
            "kind: must be a number or a name that OTLP knows",
        ),
        (
            "startTimeUnixNano",
            json!("-1"),
            "startTimeUnixNano: must be a whole number, not negative",
        ),
        (
            "attributes",
            json!([{"key": "a", "value": {"intValue": "x"}}]),
            "intValue: must be a whole number",
        ),
        ("events", json!(["x"]), "events: must be an object"),
    ];
    for (field, value, reason) in faults {
        let viewer = start().await;
        let mut bad = good.clone();
        bad["name"] = json!("bad");
        bad[field] = value;
        let spans = json!([bad, good, bad]);
        let request = json!({"resourceSpans": [{"scopeSpans": [{"spans": spans}]}]});
        let answer = viewer.send_json("/v1/traces", request.to_string()).await;
        assert_eq!(answer.status(), 200, "{field}");
        let answer: Value = answer.json().await.unwrap();
        assert_eq!(answer["partialSuccess"]["rejectedSpans"], "2", "{field}");
        assert_eq!(answer["partialSuccess"]["errorMessage"], reason);
        assert_eq!(span_names(&viewer).await, ["good"], "{field}");
    }
}

#[tokio::test]
async fn one_bad_log_record_is_a_partial_success() {
    let viewer = start().await;
    let records = json!([{"traceId": "01", "severityNumber": "LOUD"}, {"traceId": ""}]);
    let request = json!({"resourceLogs": [{"scopeLogs": [{"logRecords": records}]}]});
    let answer = viewer.send_json("/v1/logs", request.to_string()).await;
    assert_eq!(answer.status(), 200);
    let answer: Value = answer.json().await.unwrap();
    assert_eq!(answer["partialSuccess"]["rejectedLogRecords"], "1");
}

/// Jaeger and the Collector take the names of enums; protobuf's JSON mapping takes numbers in any notation.
#[tokio::test]
async fn json_may_be_written_as_protobuf_maps_it() {
    let viewer = start().await;
    let attributes = json!([
        {"key": "int", "value": {"intValue": 5.0}}, {"key": "exponent", "value": {"intValue": "1.5e3"}},
        {"key": "big", "value": {"intValue": "-9223372036854775808"}},
        {"key": "bytes", "value": {"bytesValue": "_-8"}}, {"key": "empty", "value": {"arrayValue": {}}},
        {"key": "nan", "value": {"doubleValue": "NaN"}}, {"key": "null", "value": null}]);
    let span = json!({"traceId": "0102030405060708090a0b0c0d0e0f10", "spanId": "0000000000000001", "name": "n",
        "kind": "SPAN_KIND_SERVER", "status": {"code": "STATUS_CODE_ERROR"}, "events": null,
        "startTimeUnixNano": 1.7e18, "endTimeUnixNano": "1700000000000000001", "attributes": attributes});
    let request = json!({"resourceSpans": [{"resource": null, "scopeSpans": [{"spans": [span]}]}]});
    let answer = viewer.send_json("/v1/traces", request.to_string()).await;
    assert_eq!(answer.text().await.unwrap(), "{}");
    let trace = viewer
        .get_json("/view/traces/0102030405060708090a0b0c0d0e0f10")
        .await;
    let span = &trace["spans"][0];
    assert_eq!(span["kind"], "server");
    assert_eq!(span["failed"], true);
    assert_eq!(span["start"], "1700000000000000000");
    let expected = json!([
        ["int", "int", "5"],
        ["exponent", "int", "1500"],
        ["big", "int", "-9223372036854775808"],
        ["bytes", "bytes", "/+8="],
        ["empty", "json", "[]"],
        ["nan", "double", "NaN"],
        ["null", "empty", ""]
    ]);
    assert_eq!(span["attributes"], expected);
    let line = json!({"traceId": "0102030405060708090a0b0c0d0e0f10", "severityNumber": "SEVERITY_NUMBER_WARN2"});
    let request = json!({"resourceLogs": [{"scopeLogs": [{"logRecords": [line]}]}]});
    viewer.send_json("/v1/logs", request.to_string()).await;
    let trace = viewer
        .get_json("/view/traces/0102030405060708090a0b0c0d0e0f10")
        .await;
    assert_eq!(trace["logs"][0]["severity"], 14);
}

/// The specification: a success without rejections must leave `partial_success` unset.
#[tokio::test]
async fn a_full_success_says_nothing_of_a_partial_one() {
    let viewer = start().await;
    let mut client = TraceServiceClient::connect(format!("http://{}", viewer.otlp_grpc))
        .await
        .unwrap();
    let answer = client.export(request(vec![span(1)])).await.unwrap();
    assert_eq!(answer.into_inner().partial_success, None);
    for path in ["/v1/traces", "/v1/logs", "/v1/metrics"] {
        let answer = viewer.send_json(path, "{}").await;
        assert_eq!(answer.text().await.unwrap(), "{}", "{path}");
    }
}

/// `OUT_OF_RANGE`, which tonic answers by itself, would have the sender try again for ever.
#[tokio::test]
async fn a_message_that_is_too_large_is_refused_for_good() {
    let viewer = start().await;
    let mut client = TraceServiceClient::connect(format!("http://{}", viewer.otlp_grpc))
        .await
        .unwrap();
    let large = Span {
        name: "x".repeat(17 * 1024 * 1024),
        ..span(1)
    };
    let refused = client.export(request(vec![large])).await.unwrap_err();
    assert_eq!(refused.code(), tonic::Code::InvalidArgument, "{refused}");
}

#[tokio::test]
async fn a_refused_host_is_told_which_variable_admits_it() {
    let viewer = start().await;
    let host = ("host", "host.docker.internal:4318");
    let answer = post(&viewer, b"{}".to_vec(), &[JSON, host]).await;
    assert_eq!(answer.status(), 421);
    assert_eq!(
        answer.text().await.unwrap(),
        "The viewer does not answer for the host name host.docker.internal. To admit it, add it to \
         VIEWER_ALLOWED_HOSTS.\n"
    );
}

/// The sender learns which spans are missing from the page, and why.
#[tokio::test]
async fn spans_of_a_full_trace_are_rejected() {
    let viewer = start_with(&["--memory-bytes", "400000"]).await;
    let spans = (0..1_000).map(|id: u32| Span {
        span_id: u64::from(id + 1).to_be_bytes().to_vec(),
        ..span(1)
    });
    let body = request(spans.collect()).encode_to_vec();
    let answer = post(&viewer, body, &[PROTOBUF]).await;
    let answer = ExportTraceServiceResponse::decode(answer.bytes().await.unwrap()).unwrap();
    let partial = answer.partial_success.unwrap();
    let held = span_names(&viewer).await.len();
    assert_eq!(partial.rejected_spans, 1_000 - i64::try_from(held).unwrap());
    assert!(held > 100, "{held}");
    assert_eq!(
        partial.error_message,
        "the trace is full: a single trace may use half of VIEWER_MEMORY_BYTES"
    );
    let trace = viewer
        .get_json("/view/traces/0102030405060708090a0b0c0d0e0f10")
        .await;
    assert_eq!(trace["refused"], 1_000 - held);
}
