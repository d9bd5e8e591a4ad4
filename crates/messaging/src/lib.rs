//! Trace context through Kafka, in three steps.
//!
//! A trace ends at a message queue unless somebody carries its context across. Three files do that
//! here, each to be read alone and in this order:
//!
//! 1. [`carrier`]: a message's headers, as OpenTelemetry's propagator reads and writes them;
//! 2. [`producer`]: a `send` span around each message sent, its context put into the headers;
//! 3. [`consumer`]: a `process` span around each message handled, its parent taken from them.
//!
//! What a consumer needs besides, so that no message is lost and none holds up the others (offsets,
//! order by key, bounded work, further attempts), stands behind them in `delivery`; what becomes of
//! a message that can't be handled in [`dead_letter`]. The spans follow OpenTelemetry's
//! semantic conventions for messaging and Kafka, v1.44.0 (status: Development).
//!
//! The crate makes spans through [`tracing`]; whoever starts the program installs a subscriber with
//! `tracing-opentelemetry`'s layer and a global propagator. Without them everything still works,
//! and no trace is made.

pub mod carrier;
pub mod consumer;
pub mod producer;

mod attributes;
mod client;
pub mod dead_letter;
mod delivery;
mod error;
pub mod topics;

pub use attributes::{QUEUE_TIME, RETRY_COUNT};
pub use consumer::{Consumer, ConsumerConfig, Failure, FailureClass, Handler, Membership};
pub use error::Error;
pub use producer::{Delivery, Producer, ProducerConfig};
/// The messages that a [`Producer`] takes and a [`Handler`] is given are rdkafka's own.
pub use rdkafka::{
    message::{Message, OwnedMessage},
    producer::FutureRecord,
};
