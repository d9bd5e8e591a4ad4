//! Creates and lists orders, owns their status, publishes `order.created`.
//!
//! | To see | look at |
//! |---|---|
//! | what a request may ask, and how it is answered | [`http`], `body.rs` |
//! | where an order begins, and its id enters the trace | `place.rs` |
//! | how an order's status changes, once | `status.rs` |
//! | all of the SQL | `store.rs` |
//! | how an event leaves for Kafka | [`publish`], and the crate `outbox` |
//! | how the same request twice places one order | [`idempotency`] |
//!
//! What becomes of an order is not decided here: the worker does that, and says so through the status.

pub mod http;

mod body;
pub mod idempotency;
mod place;
pub mod publish;
mod status;
mod store;

pub use http::router;
pub use place::KEY_LIFETIME;
pub use publish::Publisher;

use std::time::Duration;

use outbox::RelayStatus;
use service::{Readiness, Report};
use telemetry::sql::Database;

/// What every handler works with.
#[derive(Clone, Debug)]
pub struct AppState {
    /// The database, in which this service touches the schema `orders` only.
    pub database: Database,
    /// Where events go.
    pub publisher: Publisher,
    /// For how long the key of a request is remembered.
    pub key_lifetime: Duration,
}

impl Readiness for AppState {
    /// Ready if the database answers and the relay runs. The broker is reported and not required: orders are taken
    /// without it. A relay that retries is reported as well; one that has stopped will not start again.
    async fn check(&self) -> Report {
        let mut report = self.database.check().await;
        let relay = self.publisher.relay();
        report.ready &= relay != RelayStatus::Stopped;
        report.details["kafka"] = self.publisher.broker().into();
        report.details["outbox"] = relay.to_string().into();
        report
    }
}
