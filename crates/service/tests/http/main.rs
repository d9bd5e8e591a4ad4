//! A small service over real sockets: every refusal, every bound, and how it ends.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod drain;
mod health;
mod limits;
mod logs;
mod refusals;
mod support;
