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
//! Behind it, each in a file of its own:
//! - `offsets`: which messages of a partition are done, and up to where all of them are;
//! - `ledger`: the same for all assigned partitions, shared by polling and handling;
//! - `poll`: the thread that polls librdkafka, so that the group never takes this member for dead;
//! - `lanes`: the handling, many messages at once, those of one key one after the other;
//! - `attempts`: the retry policy;
//! - [`dead_letter`]: the format of dead letters, and their replay;
//! - [`settings`], [`topics`]: librdkafka's settings; topics that a program needs.

mod attempts;
mod client;
mod consumer;
pub mod dead_letter;
mod error;
mod failure;
mod lanes;
mod ledger;
mod membership;
mod offsets;
mod poll;
pub mod settings;
pub mod topics;
mod waiting;

pub use client::Logging;
pub use consumer::{Consumer, ConsumerBuilder, Handler};
pub use error::Error;
pub use failure::{Failure, FailureClass};
pub use membership::Membership;
pub use settings::producer;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
