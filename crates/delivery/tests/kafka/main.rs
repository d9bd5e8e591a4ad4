//! Messaging against librdkafka's in-process cluster, with every span captured.

#![expect(clippy::unwrap_used, reason = "a test that can't go on has failed")]

mod builder;
mod common;
mod dead_letters;
mod delivery;
mod endings;
mod members;
mod spans;
mod standstills;
