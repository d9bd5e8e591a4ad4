//! A viewer on free ports, spoken to as its senders and readers speak to it.

#![expect(clippy::unwrap_used, reason = "a test that can't go on has failed")]

mod browser;
mod jaeger_api;
mod otlp;
mod program;
#[path = "../../examples/sample_traces/samples.rs"]
mod samples;
mod support;
mod verdicts;
mod view;
