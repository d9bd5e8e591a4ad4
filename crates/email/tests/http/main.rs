//! The email service over a socket, against a real PostgreSQL.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod app;
mod bad_input;
mod once;
mod send;
mod shutdown;
mod trace;
