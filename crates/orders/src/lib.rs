//! Creates and lists orders, owns their status, publishes `order.created`.
//!
//! | To see | look at |
//! |---|---|
//! | what a request may ask, and how it is answered | [`http`], `body.rs` |
//! | where an order begins, and its id enters the trace | `place.rs` |
//! | how an order's status changes, once | `status.rs` |
//! | all of the SQL | `store.rs` |
//! | how an event leaves for Kafka, and when it does not | [`publish`] |
//!
//! What becomes of an order is not decided here: the worker does that, and says so through the status.

pub mod http;

mod body;
mod place;
pub mod publish;
mod status;
mod store;

pub use http::router;
pub use publish::Publisher;

use service::{Readiness, Report};
use telemetry::sql::Database;

/// What every handler works with.
#[derive(Clone, Debug)]
pub struct AppState {
    /// The database, in which this service touches the schema `orders` only.
    pub database: Database,
    /// Where events go.
    pub publisher: Publisher,
}

impl Readiness for AppState {
    /// Ready is who has a database. The broker is told of and not required: orders are taken without.
    async fn check(&self) -> Report {
        let mut report = self.database.check().await;
        report.details["kafka"] = self.publisher.broker().into();
        report
    }
}
