//! The inventory service over a socket, against a real PostgreSQL.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod app;
mod bad_input;
mod concurrency;
mod faults;
mod frozen;
mod release;
mod reserve;
mod stock;
mod trace;
