//! `init` as a service lives with it: a process of its own, configured by environment variables, exporting
//! to a real OTLP receiver, or to one that is broken.
//!
//! The variables and the global subscriber belong to a process, so each case runs this test binary again
//! as a child (see `child.rs`).

mod child;
mod export;
mod logs;
mod outage;
mod receiver;
