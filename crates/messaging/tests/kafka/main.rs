//! A user's own rdkafka clients against librdkafka's in-process cluster, with every span captured.

#![expect(clippy::unwrap_used, reason = "a test that can't go on has failed")]

mod batches;
mod common;
mod context;
mod failures;
mod options;
mod properties;
mod spans;
