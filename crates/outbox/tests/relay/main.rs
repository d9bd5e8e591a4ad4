//! The outbox against a real PostgreSQL and librdkafka's in-process cluster.

#![expect(clippy::unwrap_used, reason = "a test that can't go on has failed")]

mod backlog;
mod child;
mod lock;
mod measure;
mod sending;
mod setup;
