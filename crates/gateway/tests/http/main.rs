//! The gateway over a socket, in front of services that record what they are asked.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod failures;
mod forward;
#[cfg(target_os = "linux")]
mod memory;
mod process;
mod refusals;
mod shop;
mod support;
mod trace;
