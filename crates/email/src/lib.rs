//! Sends the mail that tells a customer what became of an order: one for each order and kind.
//!
//! [`mailer`] holds the promise and the one window in it; [`http`] says what a request may ask and
//! how it is answered, `store` is all of the SQL.
//!
//! The mail server is simulated: sending takes a while ([`Delay`]), and appends to a table.

pub mod http;
pub mod mailer;

mod delay;
mod store;

pub use delay::Delay;
pub use http::router;
pub use mailer::Mailer;

/// What every handler works with.
#[derive(Clone, Debug)]
pub struct AppState {
    /// Sends mail.
    pub mailer: Mailer,
}
