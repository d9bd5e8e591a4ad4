//! Stock levels, and which order holds how much of which item.
//!
//! Two files matter: [`http`] says what a request may ask and how it is answered, `store` is all of
//! the SQL, and with it the promise that a step done twice is done once.
//!
//! There is no call to add items or stock: a migration seeds them, and selling out is part of the
//! show.

pub mod http;
mod store;

pub use http::router;

use telemetry::sql::Database;

/// What every handler works with.
#[derive(Clone, Debug)]
pub struct AppState {
    /// The database, in which this service touches the schema `inventory` only.
    pub database: Database,
}
