//! How many spans a second a viewer takes over gRPC, and how many bytes it holds for each:
//! `cargo run --profile local -p trace-viewer --example flood [spans] [memory bytes]`.

use std::time::Instant;

use clap::Parser;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use tokio_util::sync::CancellationToken;
use trace_viewer::{Config, Viewer};

/// What an OpenTelemetry SDK sends at once.
const BATCH: u64 = 512;
/// About what an order has.
const SPANS_PER_TRACE: u64 = 25;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let spans: u64 = arguments.next().as_deref().unwrap_or("500000").parse()?;
    let memory = arguments
        .next()
        .unwrap_or_else(|| (256 * 1024 * 1024).to_string());
    let ports = [
        "flood",
        "--port=0",
        "--otlp-grpc-port=0",
        "--otlp-http-port=0",
    ];
    let memory = format!("--memory-bytes={memory}");
    let config = Config::try_parse_from(ports.into_iter().chain([memory.as_str()]))?;
    let viewer = Viewer::bind(&config).await?;
    let page = viewer.page_address()?;
    let otlp = format!("http://{}", viewer.otlp_grpc_address()?);
    let stop = CancellationToken::new();
    let served = tokio::spawn(viewer.run(stop.clone()));

    let resident_before = resident()?;
    let mut client = TraceServiceClient::connect(otlp).await?;
    let start = Instant::now();
    for first in (0..spans).step_by(usize::try_from(BATCH)?) {
        client.export(batch(first)).await?;
    }
    let seconds = start.elapsed().as_secs_f64();
    let held: serde_json::Value = reqwest::get(format!("http://{page}/view/traces?limit=0"))
        .await?
        .json()
        .await?;
    let held = &held["held"];
    let number = |key: &str| held[key].as_f64().unwrap_or_default();
    println!(
        "{:.0} spans/s, {:.0} bytes a span held",
        spans as f64 / seconds,
        number("bytes") / number("spans")
    );
    println!(
        "holding {} of {} spans, {} of {} bytes",
        held["spans"], held["spans_seen"], held["bytes"], held["max_bytes"]
    );
    println!(
        "resident: {} KiB before, {} KiB after",
        resident_before,
        resident()?
    );
    stop.cancel();
    served.await?
}

fn batch(first: u64) -> ExportTraceServiceRequest {
    let text = |key: &str, value: String| KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue {
            value: Some(Value::StringValue(value)),
        }),
        ..KeyValue::default()
    };
    let span = |at: u64| {
        Span {
        trace_id: u128::from(at / SPANS_PER_TRACE + 1).to_be_bytes().to_vec(),
        span_id: (at + 1).to_be_bytes().to_vec(),
        name: "UPDATE inventory.items".to_owned(),
        kind: 3,
        start_time_unix_nano: 1_795_405_200_000_000_000 + at * 1_000,
        end_time_unix_nano: 1_795_405_200_000_000_000 + at * 1_000 + 1_500_000,
        attributes: vec![
            text("db.system.name", "postgresql".to_owned()),
            text("db.namespace", "orderflow|inventory".to_owned()),
            text("db.query.summary", "UPDATE inventory.items".to_owned()),
            text("db.query.text", "UPDATE inventory.items SET available = available - $2, reserved = reserved + $2 WHERE item_id = $1 AND available >= $2".to_owned()),
            text("server.address", "127.0.0.1".to_owned()),
            text("order.id", format!("0192f3a4-0000-7000-8000-{at:012x}")),
        ],
        ..Span::default()
    }
    };
    let resource = Resource {
        attributes: vec![
            text("service.name", "inventory".to_owned()),
            text("service.namespace", "orderflow".to_owned()),
            text("service.version", "0.1.0".to_owned()),
        ],
        ..Resource::default()
    };
    let spans = (first..first + BATCH).map(span).collect();
    let scope_spans = vec![ScopeSpans {
        spans,
        ..ScopeSpans::default()
    }];
    let of_resource = ResourceSpans {
        resource: Some(resource),
        scope_spans,
        ..ResourceSpans::default()
    };
    ExportTraceServiceRequest {
        resource_spans: vec![of_resource],
    }
}

/// What the kernel says that this process has in memory, in KiB; the sender's part included.
fn resident() -> anyhow::Result<String> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    Ok(line
        .unwrap_or("? kB")
        .trim()
        .trim_end_matches(" kB")
        .to_owned())
}
