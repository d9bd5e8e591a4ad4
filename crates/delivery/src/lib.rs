//! At-least-once delivery from Kafka: many messages at once, in order by key, with retries and dead letters.
//!
//! The guarantee: the offset of a message is committed only when the message and all messages received before it from
//! its partition are done. A message is done when its handler succeeded, or when its dead letter was acknowledged. So a
//! crash makes messages come again, and none is lost.
//!
//! [`Consumer`] is the entrance: give it your `ClientConfig`, a topic and a [`Handler`]. Each try of a message runs in a
//! `process` span made by the crate [`messaging`], so that retries, the dead letter and its replay stay in the sender's
//! trace.
//!
//! | What | Where |
//! |---|---|
//! | every decision, without I/O: the states of a message, rebalances, the end | `core/mod.rs` |
//! | which offset may be committed | `core/offsets.rs` |
//! | order by key | `core/lanes.rs` |
//! | when to retry, and how long to wait | `core/retries.rs` |
//! | a brake for dead letters | `core/brake.rs` |
//! | the loop around the core: messages, handlers, time | `run.rs` |
//! | librdkafka's consumer, polled without blocking | `kafka.rs` |
//! | waiting for a dependency without asking it again and again | [`gate`] |
//! | the format of dead letters, their replay | [`dead_letter`] |
//! | librdkafka's settings; topics that a program needs | [`settings`], [`topics`] |
//!
//! # What holds up what
//! - A message that is retried holds up later messages *of its key*. Those stay in hand meanwhile, as do messages whose
//!   dead letter cannot be written: once they are as many as may be in hand, twice the concurrency, or have as many
//!   bytes, nothing else is received, from no partition.
//! - A message that does not get done holds back the committed offset of its partition. After 1,000 messages behind it
//!   no more are received *from that partition*.
//! - Handlers share the concurrency. A dependency that hangs holds up *everything*, once as many messages wait for it
//!   as may be handled at once. A [`Gate`] keeps that from becoming a storm of retries; it does not make more room.

mod client;
mod consumer;
mod core;
pub mod dead_letter;
mod error;
mod failure;
pub mod gate;
mod kafka;
mod letters;
mod membership;
mod run;
pub mod settings;
pub mod topics;

pub use client::Logging;
pub use consumer::{Consumer, ConsumerBuilder, Handler};
pub use core::{Backoff, RetryPolicy};
pub use error::Error;
pub use failure::{Failure, FailureClass};
pub use gate::Gate;
pub use membership::Membership;
pub use settings::producer;

/// Tokio's clock, which a test can stop.
fn now() -> std::time::Instant {
    tokio::time::Instant::now().into_std()
}

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
