//! The process that is observed: it sets telemetry up, works a little, and shuts down.

use std::collections::HashMap;
use std::process::Stdio;
use std::time::Duration;

use opentelemetry::global;
use serde_json::Value;
use telemetry::Service;
use tokio::process::Command;
use tracing::Instrument;
use tracing_opentelemetry::OpenTelemetrySpanExt;

/// The span that the child is told to continue; its sampled flag is off.
pub(crate) const REMOTE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";

/// How long a child may take. Those that hang would hang for ten minutes.
const LIMIT: Duration = Duration::from_secs(60);

const SERVICE: Service = Service {
    name: "child",
    namespace: "family",
    version: "1.2.3",
    baggage_attributes: &["order.id"],
    trust_remote_sampling: false,
};

/// What came out of a child.
pub(crate) struct Output {
    pub(crate) success: bool,
    pub(crate) text: String,
    /// The lines that are JSON.
    pub(crate) lines: Vec<Value>,
}

impl Output {
    /// The log lines with this message.
    pub(crate) fn with_message(&self, message: &str) -> Vec<&Value> {
        self.lines
            .iter()
            .filter(|line| line["message"] == message)
            .collect()
    }
}

/// Runs the child with these variables and no other `OTEL_*`.
pub(crate) async fn run(variables: &[(&str, &str)]) -> Output {
    let executable = std::env::current_exe().expect("this test has an executable");
    let mut command = Command::new(executable);
    command.args([
        "--exact",
        "child::works_a_little",
        "--ignored",
        "--nocapture",
    ]);
    for (name, _) in std::env::vars() {
        if name.starts_with("OTEL_") || name == "RUST_LOG" {
            command.env_remove(name);
        }
    }
    command.envs(variables.iter().copied());
    command.stderr(Stdio::inherit()).kill_on_drop(true);
    let output = tokio::time::timeout(LIMIT, command.output())
        .await
        .expect("the child does not come to an end")
        .expect("the child runs");
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    Output {
        success: output.status.success(),
        lines: json(&text),
        text,
    }
}

/// The test runner's own words may stand before a line.
fn json(text: &str) -> Vec<Value> {
    text.lines()
        .filter_map(|line| serde_json::from_str(&line[line.find('{')?..]).ok())
        .collect()
}

#[test]
#[ignore = "the child that the other tests run"]
fn works_a_little() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let guard = telemetry::init(&SERVICE).unwrap_or_else(|error| panic!("init: {error}"));
        work().await;
        guard.shutdown().await;
    });
}

/// A span that continues the remote one, log lines in it and outside of it, and `SPANS` more spans.
async fn work() {
    let incoming = HashMap::from([("traceparent".to_owned(), REMOTE.to_owned())]);
    let span = tracing::info_span!("work", otel.kind = "server");
    span.set_parent(global::get_text_map_propagator(|propagator| {
        propagator.extract(&incoming)
    }))
    .expect("the span has not been entered");
    let inside = async {
        tracing::info_span!("step").in_scope(|| {});
        tracing::error!(answer = 42, ratio = 0.5, done = true, "inside");
        let mut outgoing = HashMap::new();
        global::get_text_map_propagator(|propagator| propagator.inject(&mut outgoing));
        tracing::info!(traceparent = outgoing.get("traceparent"), "calling");
    };
    let inside = telemetry::context::with_baggage("order.id", "o-1", inside);
    inside.instrument(span).await;
    tracing::info!("outside");

    let spans = std::env::var("SPANS").map_or(0, |spans| spans.parse().expect("a number"));
    for _ in 0..spans {
        tracing::info_span!("one of many").in_scope(|| {});
    }
}
