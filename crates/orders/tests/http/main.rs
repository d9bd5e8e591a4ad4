//! The orders service over a socket, against a real PostgreSQL and librdkafka's in-process cluster.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod app;
mod bad_input;
mod idempotency;
mod list;
mod place;
mod program;
mod properties;
mod publish;
mod start;
mod status;
mod trace;
