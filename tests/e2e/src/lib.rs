//! Orders placed for real, whole traces asserted.
//!
//! Everything here is what a test has in hand from outside of the system: the tests themselves are in
//! `tests/`, and read best from `one_trace.rs` on.
//!
//! - [`shop`]: the running system, and a customer who places orders in it;
//! - [`receiver`]: the collector that the services send their spans to, which keeps all of them;
//! - [`jaeger`]: the same spans, as a Jaeger-compatible query API answers them;
//! - [`trace`]: a span, wherever it was read; [`tree`]: how spans hang together, as text;
//! - [`attributes`]: which attributes each kind of span has, with their types;
//! - [`history`]: what clients have seen over time, and the rules that it must obey;
//! - [`connected`]: whether a trace is one tree, except for the spans that killed processes took with them.

pub mod attributes;
pub mod connected;
pub mod history;
pub mod jaeger;
pub mod receiver;
pub mod shop;
pub mod trace;
pub mod tree;
