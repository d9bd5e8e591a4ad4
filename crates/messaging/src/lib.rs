//! Trace context through Kafka, in three steps, for the rdkafka clients that you have.
//!
//! A trace ends at a message queue unless somebody carries its context across. Three files do that here. Each can be
//! read alone; read them in this order:
//!
//! 1. [`carrier`]: a message's headers, as OpenTelemetry's propagator reads and writes them;
//! 2. [`producer`]: a `send` span around each message that is sent, its context put into the headers;
//! 3. [`consumer`]: a `process` span around each message that is handled, its parent taken from the headers.
//!
//! An [`Instrumentation`] makes the spans of one client. Polling, offsets, retries and dead letters are not here: bring
//! your own consumer, or take the crate `delivery`, which is built on this one.
//!
//! ```
//! use messaging::{Instrumentation, Message, Producer};
//! use rdkafka::{ClientConfig, consumer::{Consumer, StreamConsumer}, producer::FutureRecord};
//! # use std::time::Duration;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let cluster = rdkafka::mocking::MockCluster::new(1)?;
//! # let brokers = cluster.bootstrap_servers();
//! let mut config = ClientConfig::new();
//! config
//!     .set("bootstrap.servers", brokers)
//!     .set("group.id", "readers")
//!     .set("auto.offset.reset", "earliest");
//! let kafka = Instrumentation::new(&config);
//!
//! let producer = Producer::new(config.create()?, kafka.clone());
//! let message = FutureRecord::to("greetings").key("world").payload("hello");
//! producer.send(message, Duration::ZERO).await?;
//!
//! let consumer: StreamConsumer = config.create()?;
//! consumer.subscribe(&["greetings"])?;
//! let message = consumer.recv().await?;
//! kafka
//!     .process(&message, async |message| {
//!         assert_eq!(message.payload(), Some(&b"hello"[..]));
//!         Ok::<_, std::convert::Infallible>(())
//!     })
//!     .await?;
//! # Ok(())
//! # }
//! ```
//!
//! The two spans are made with OpenTelemetry's API, so they work with `tracing` and without. The program sets a global
//! tracer provider, or passes one, and a global propagator. Without them everything works and no trace is made. Names
//! and attributes follow OpenTelemetry's semantic conventions for messaging and Kafka, v1.44.0 (status: Development).

pub mod carrier;
pub mod producer;

pub mod consumer;

mod error;
pub mod headers;
mod instrumentation;
mod span;
mod traceparent;

pub use consumer::ProcessSpan;
pub use error::Error;
pub use headers::MessageHeaders;
pub use instrumentation::{Instrumentation, MessageView};
pub use producer::{Producer, SendSpan};
/// The rdkafka whose messages and clients this crate takes.
pub use rdkafka;
pub use rdkafka::{
    message::{Message, OwnedMessage},
    producer::{FutureRecord, future_producer::Delivery},
};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
