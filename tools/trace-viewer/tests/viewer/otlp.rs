//! OTLP in, over real sockets: gRPC, protobuf and JSON, plain and packed, right and wrong.

use std::io::Write;

use crate::support::{Running, fixture, fixtures, start};
use flate2::Compression;
use flate2::write::GzEncoder;
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
    assert_eq!(plain.bytes().await.unwrap(), "\n\0");
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

#[tokio::test]
async fn http_refuses_as_jaeger_does() {
    let viewer = start().await;
    let names = fixtures("otlp");
    let recorded = names.iter().filter(|name| name.contains("/80-"));
    assert_eq!(recorded.clone().count(), 11);
    for name in recorded {
        let recorded: Value = serde_json::from_str(&fixture(name)).unwrap();
        let (method, path) = recorded["request"]
            .as_str()
            .unwrap()
            .split_once(' ')
            .unwrap();
        let method: Method = method.parse().unwrap();
        let body = match recorded["request_body"].as_str().unwrap_or_default() {
            "(input-d-short-id.otlp.json)" => fixture("otlp/input-d-short-id.otlp.json"),
            body => body.to_owned(),
        };
        let url = format!("http://{}{path}", viewer.otlp_http);
        let mut request = viewer.client.request(method, url).body(body);
        for (header, value) in recorded["request_headers"]
            .as_object()
            .into_iter()
            .flatten()
        {
            request = request.header(header, value.as_str().unwrap());
        }
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status().as_u16(), recorded["status"], "{name}");
        let content_type = answer.headers()["content-type"].to_str().unwrap();
        assert_eq!(content_type, recorded["headers"]["Content-Type"], "{name}");
        let answer = answer.text().await.unwrap();
        // The words for what is malformed are each parser's own.
        match (recorded.get("body"), recorded["status"].as_u64()) {
            (Some(body), Some(200)) => {
                assert_eq!(&serde_json::from_str::<Value>(&answer).unwrap(), body)
            }
            (Some(body), _) => {
                assert_eq!(
                    serde_json::from_str::<Value>(&answer).unwrap()["code"],
                    body["code"],
                    "{name}"
                );
            }
            (None, _) if name.contains("protobuf-malformed") => {
                assert!(answer.starts_with("\x08\x03\x12"))
            }
            (None, _) => assert_eq!(answer, recorded["body_text"], "{name}"),
        }
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
