//! The child process: it sets telemetry up, makes some spans and log lines, and shuts down.

use std::collections::HashMap;
use std::process::Stdio;
use std::time::Duration;

use opentelemetry::global;
use serde_json::Value;
use telemetry::Service;
use tokio::process::Command;
use tracing::Instrument;
use tracing_opentelemetry::OpenTelemetrySpanExt;

/// The `traceparent` that the child continues. Its sampled flag is off.
pub(crate) const REMOTE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";

/// The `baggage` that the child continues. One member is malformed.
pub(crate) const REMOTE_BAGGAGE: &str = "token=YWJj==,not for the log";

/// How long a child may take.
const LIMIT: Duration = Duration::from_secs(60);

const SERVICE: Service = Service {
    name: "child",
    namespace: "family",
    version: "1.2.3",
    baggage_attributes: &["order.id"],
    trust_remote_sampling: false,
};

/// The result of a child.
pub(crate) struct Output {
    pub(crate) success: bool,
    /// Standard output.
    pub(crate) text: String,
    /// The lines of standard output that are JSON.
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

/// Runs the child with these variables and no other `OTEL_*` variables. Two variables are the child's own:
/// `SPANS` is a number of additional spans, `PAUSE_MS` a pause before the last span and log line.
pub(crate) async fn run(variables: &[(&str, &str)]) -> Output {
    let executable = std::env::current_exe().expect("this test has an executable");
    let mut command = Command::new(executable);
    command.args([
        "--exact",
        "child::sets_up_works_and_shuts_down",
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
        .expect("the child ends in time")
        .expect("the child runs");
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    Output {
        success: output.status.success(),
        lines: json(&text),
        text,
    }
}

/// The test runner may print something before a line.
fn json(text: &str) -> Vec<Value> {
    text.lines()
        .filter_map(|line| serde_json::from_str(&line[line.find('{')?..]).ok())
        .collect()
}

#[test]
#[ignore = "the child that the other tests run"]
fn sets_up_works_and_shuts_down() {
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

/// Makes a span that continues the remote one, log lines inside and outside of it, and more spans.
async fn work() {
    let incoming = [("traceparent", REMOTE), ("baggage", REMOTE_BAGGAGE)];
    let incoming = incoming.map(|(key, value)| (key.to_owned(), value.to_owned()));
    let incoming = HashMap::from(incoming);
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
        tracing::info!(
            traceparent = outgoing.get("traceparent"),
            tracestate = outgoing.get("tracestate"),
            baggage = outgoing.get("baggage"),
            "calling"
        );
    };
    let inside = telemetry::context::with_baggage("order.id", "o-1", inside);
    inside.instrument(span).await;

    for _ in 0..number("SPANS") {
        tracing::info_span!("one of many").in_scope(|| {});
    }
    let pause = number("PAUSE_MS");
    if pause > 0 {
        tokio::time::sleep(Duration::from_millis(pause)).await;
        tracing::info_span!("after the pause").in_scope(|| {});
    }
    tracing::info!("outside");
}

fn number(variable: &str) -> u64 {
    std::env::var(variable).map_or(0, |value| value.parse().expect("a number"))
}
