//! Tests `init` in processes that are configured by environment variables, and that export to a real OTLP
//! receiver, or to one that does not answer.
//!
//! The variables and the global subscriber belong to a process, so each case runs this test binary again
//! as a child process (see `child.rs`).

mod child;
mod export;
mod logs;
mod outage;
mod receiver;
